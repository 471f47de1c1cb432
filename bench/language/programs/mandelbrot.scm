;; SPDX-License-Identifier: Apache-2.0
(define size 300)
(define limit 50)

(define (inside? cr ci)
  (let loop ((i 0) (zr 0.0) (zi 0.0))
    (let ((rr (* zr zr)) (ii (* zi zi)))
      (cond ((> (+ rr ii) 4.0) #f)
            ((= i limit) #t)
            (else (loop (+ i 1) (+ (- rr ii) cr) (+ (* 2.0 zr zi) ci)))))))

(define (main)
  (let loop ((y 0) (x 0) (count 0))
    (cond ((= y size) count)
          ((= x size) (loop (+ y 1) 0 count))
          ((inside? (- (* 3.0 (/ (exact->inexact x) size)) 2.0)
                    (- (* 2.0 (/ (exact->inexact y) size)) 1.0))
           (loop y (+ x 1) (+ count 1)))
          (else (loop y (+ x 1) count)))))
