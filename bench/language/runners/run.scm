;; SPDX-License-Identifier: Apache-2.0
;; run.scm PROGRAM [TEXT]: "SECONDS<tab>VALUE" of running a program, in processor time. Its compiler optimises for seconds
;; at a time and keeps what it made: the program is compiled before the clock starts, as Guile itself does.
(use-modules (ice-9 textual-ports) (system base compile))
(define arguments (cdr (command-line)))
(define output (mkstemp "/tmp/bench-language-XXXXXX"))
(define compiled (compile-file (car arguments) #:output-file (port-filename output)))
(define texts (map (lambda (path) (call-with-input-file path get-string-all #:encoding "UTF-8")) (cdr arguments)))
(load-compiled compiled)
(delete-file compiled)
(define start (get-internal-run-time))
(define value (apply main texts))
(define end (get-internal-run-time))
(display (exact->inexact (/ (- end start) internal-time-units-per-second)))
(display "\t")
(display value)
(newline)
