;; SPDX-License-Identifier: Apache-2.0
(use-modules (srfi srfi-1))
(define (main)
  (let* ((text (string-join (map (lambda (i) (string-append "field" (number->string i))) (iota 1000000)) ","))
         (fields (string-split text #\,)))
    (+ (length fields) (string-length text)
       (fold (lambda (s sum) (+ sum (string-length s))) 0 fields))))
