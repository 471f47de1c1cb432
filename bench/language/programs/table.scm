;; SPDX-License-Identifier: Apache-2.0
(define (main)
  (let ((m (make-hash-table)))
    (do ((i 0 (+ i 1))) ((= i 1000000))
      (let ((k (remainder (* i 7919) 100003)))
        (hashv-set! m k (+ i (hashv-ref m k 0)))))
    (hash-fold (lambda (k v acc) (+ acc v 1)) 0 m)))
