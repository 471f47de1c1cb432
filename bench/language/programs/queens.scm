;; SPDX-License-Identifier: Apache-2.0
(define (safe? col placed)
  (let loop ((l placed) (d 1))
    (or (null? l)
        (let ((c (car l)))
          (and (not (= c col)) (not (= c (+ col d))) (not (= c (- col d)))
               (loop (cdr l) (+ d 1)))))))

(define (solutions size n placed)
  (if (= n size)
      1
      (let loop ((col 0) (found 0))
        (if (= col size)
            found
            (loop (+ col 1)
                  (if (safe? col placed)
                      (+ found (solutions size (+ n 1) (cons col placed)))
                      found))))))

(define (main) (solutions 9 0 '()))
