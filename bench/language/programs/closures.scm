;; SPDX-License-Identifier: Apache-2.0
(use-modules (srfi srfi-1))
(define (adder n) (lambda (x) (+ x n)))
(define (scaler n) (lambda (x) (remainder (* x n) 1000003)))
(define (chain g f) (lambda (x) (g (f x))))
(define (pipeline n)
  (reduce chain #f (map (lambda (i) (if (even? i) (adder i) (scaler (+ i 2)))) (iota n))))

(define (main)
  (let loop ((i 0) (sum 0))
    (if (< i 30000)
        (loop (+ i 1) (+ sum ((pipeline 10) i)))
        (let ((run (pipeline 10)))
          (fold (lambda (x acc) (+ acc (run x))) sum (iota 200000))))))
