;; SPDX-License-Identifier: Apache-2.0
(define (main)
  (let loop ((i 0) (sum 0))
    (if (< i 20000000)
        (loop (+ i 1) (+ sum (remainder i 7)))
        sum)))
