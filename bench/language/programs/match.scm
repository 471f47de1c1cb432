;; SPDX-License-Identifier: Apache-2.0
(use-modules (ice-9 match))
(define (shape i)
  (case (remainder i 4)
    ((0) (list 'circle i))
    ((1) (list 'rectangle i 3))
    ((2) (vector 'line i))
    (else i)))

(define (area s)
  (match s
    (('circle r) (* 3 r))
    (('rectangle w h) (* w h))
    (#('line n) (+ n 1))
    (0 0)
    ((? odd? n) n)
    (_ -1)))

(define (main)
  (let loop ((i 0) (sum 0))
    (if (< i 1000000)
        (loop (+ i 1) (+ sum (area (shape i))))
        sum)))
