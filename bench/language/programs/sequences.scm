;; SPDX-License-Identifier: Apache-2.0
(use-modules (srfi srfi-1))
(define (main)
  (fold + 0
        (filter (lambda (x) (= 0 (remainder x 3)))
                (map (lambda (x) (+ (* x 7) 1))
                     (iota 1000000)))))
