;; SPDX-License-Identifier: Apache-2.0
(define (fib n)
  (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(define (main) (fib 32))
