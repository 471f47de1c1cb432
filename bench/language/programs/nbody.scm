;; SPDX-License-Identifier: Apache-2.0
(use-modules (srfi srfi-9))
(define pi 3.141592653589793)
(define solar-mass (* 4.0 pi pi))
(define year 365.24)

(define-record-type body
  (make-body x y z vx vy vz mass) body?
  (x body-x set-body-x!) (y body-y set-body-y!) (z body-z set-body-z!)
  (vx body-vx set-body-vx!) (vy body-vy set-body-vy!) (vz body-vz set-body-vz!)
  (mass body-mass))

(define (planet x y z vx vy vz mass)
  (make-body x y z (* vx year) (* vy year) (* vz year) (* mass solar-mass)))

(define (planets)
  (list
   (planet 0.0 0.0 0.0 0.0 0.0 0.0 1.0)
   (planet 4.84143144246472090 -1.16032004402742839 -0.103622044471123109
           0.00166007664274403694 0.00769901118419740425 -0.0000690460016972063023 0.000954791938424326609)
   (planet 8.34336671824457987 4.12479856412430479 -0.403523417114321381
           -0.00276742510726411072 0.00499852801234917238 0.0000230417297573763929 0.000285885980666130812)
   (planet 12.8943695621391310 -15.1111514016986312 -0.223307578892655734
           0.00296460137564761618 0.00237847173959480950 -0.0000296589568540237556 0.0000436624404335156298)
   (planet 15.3796971148509165 -25.9193146099879641 0.179258772950371181
           0.00268067772490389322 0.00162824170038242295 -0.0000951592254519715870 0.0000515138902046611451)))

(define (offset-momentum! bodies)
  (let loop ((l bodies) (px 0.0) (py 0.0) (pz 0.0))
    (if (pair? l)
        (let* ((b (car l)) (m (body-mass b)))
          (loop (cdr l) (+ px (* (body-vx b) m)) (+ py (* (body-vy b) m)) (+ pz (* (body-vz b) m))))
        (let ((sun (car bodies)))
          (set-body-vx! sun (- (/ px solar-mass)))
          (set-body-vy! sun (- (/ py solar-mass)))
          (set-body-vz! sun (- (/ pz solar-mass)))))))

(define (attract! a b dt)
  (let* ((dx (- (body-x a) (body-x b))) (dy (- (body-y a) (body-y b))) (dz (- (body-z a) (body-z b)))
         (d2 (+ (* dx dx) (* dy dy) (* dz dz)))
         (mag (/ dt (* d2 (sqrt d2))))
         (m (* (body-mass b) mag))
         (n (* (body-mass a) mag)))
    (set-body-vx! a (- (body-vx a) (* dx m)))
    (set-body-vy! a (- (body-vy a) (* dy m)))
    (set-body-vz! a (- (body-vz a) (* dz m)))
    (set-body-vx! b (+ (body-vx b) (* dx n)))
    (set-body-vy! b (+ (body-vy b) (* dy n)))
    (set-body-vz! b (+ (body-vz b) (* dz n)))))

(define (advance! bodies dt)
  (let loop ((l bodies))
    (when (pair? l)
      (let inner ((rest (cdr l)))
        (when (pair? rest)
          (attract! (car l) (car rest) dt)
          (inner (cdr rest))))
      (loop (cdr l))))
  (for-each (lambda (b)
              (set-body-x! b (+ (body-x b) (* dt (body-vx b))))
              (set-body-y! b (+ (body-y b) (* dt (body-vy b))))
              (set-body-z! b (+ (body-z b) (* dt (body-vz b)))))
            bodies))

(define (energy bodies)
  (let loop ((l bodies) (e 0.0))
    (if (null? l)
        e
        (let* ((a (car l)) (vx (body-vx a)) (vy (body-vy a)) (vz (body-vz a)))
          (let inner ((rest (cdr l))
                      (e (+ e (* 0.5 (body-mass a) (+ (* vx vx) (* vy vy) (* vz vz))))))
            (if (null? rest)
                (loop (cdr l) e)
                (let* ((b (car rest)) (dx (- (body-x a) (body-x b))) (dy (- (body-y a) (body-y b)))
                       (dz (- (body-z a) (body-z b))))
                  (inner (cdr rest)
                         (- e (/ (* (body-mass a) (body-mass b))
                                 (sqrt (+ (* dx dx) (* dy dy) (* dz dz)))))))))))))

(define (main)
  (let ((bodies (planets)))
    (offset-momentum! bodies)
    (do ((i 0 (+ i 1))) ((= i 50000))
      (advance! bodies 0.01))
    (inexact->exact (truncate (* 1000000000 (energy bodies))))))
