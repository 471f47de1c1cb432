/* SPDX-License-Identifier: Apache-2.0 */
/* The words of special forms, and what they mean to who writes programs. */
#include <rtfs/compile.h>
#include <rtfs/special_forms.h>

const struct special_form special_forms[] = {
        { "let", S_LET, "(let [pattern type? value ...] body ...)",
          "Bind names, one after the other; functions among them see each other.",
          "(let [x 1 [y z] [2 3]] (+ x y z))", "6", "the last body form",
          "ParseError; TypeError: a value does not fit its pattern; TypeValidationError: or its "
          "type" },
        { "if", S_IF, "(if test then else?)", "One of two forms; only nil and false are false.",
          "(if (> 2 1) :yes :no)", ":yes", "the form that was chosen; nil without else",
          "ParseError" },
        { "do", S_DO, "(do form ...)", "Forms in order.", "(do 1 2 3)", "3",
          "the last form; nil when there is none", "none" },
        { "fn", S_FN, "(fn name? [parameter type? ... & rest type?] type? body ...)",
          "A function that remembers where it was made. `λ` at the head of a list is the same "
          "word; #(+ % 1) is a short form.",
          "((fn [x & more] (+ x (count more))) 1 2 3)", "3", "function",
          "ParseError; when called: ArityMismatch, TypeError, TypeValidationError" },
        { "def", S_DEF, "(def name type? value)", "Define a name in the innermost frame.",
          "(do (def x :int 5) (* x 2))", "10", "the value", "ParseError; TypeValidationError" },
        { "defn", S_DEFN, "(defn name \"text\"? [parameter ...] type? body ...)",
          "Define a function that can call itself.",
          "(do (defn twice \"Two of x.\" [x] (* 2 x)) (twice 4))", "8", "the function",
          "ParseError" },
        { "defmacro", S_DEFMACRO, "(defmacro name [parameter ... & rest] body ...)",
          "Define a macro: the body runs while the program is compiled, on the argument forms, and "
          "gives the form to use instead.",
          "(do (defmacro unless [c & body] `(if ~c nil (do ~@body))) (unless false 1 2))", "2",
          "nil",
          "ParseError; when used: ArityMismatch, what the body raises, StackOverflow after 1,000 "
          "expansions of one form" },
        { "defstruct", S_DEFSTRUCT, "(defstruct Name :field type ...)",
          "Define a function that checks a map: fields have to be there, unless their type is "
          "optional, and of their types.",
          "(do (defstruct Point :x :int :y :int?) (Point {:x 1}))", "{:x 1}", "function",
          "ParseError; when called: ArityMismatch, TypeError, TypeValidationError" },
        { "deftype", S_DEFTYPE, "(deftype Name type)", "Name a type for annotations.",
          "(do (deftype Age [:and :int [:>= 0]]) ((fn [a : Age] a) 30))", "30", "nil",
          "ParseError" },
        { "try", S_TRY, "(try form ... (catch kind? name body ...) ... (finally body ...))",
          "Handle errors. A kind is a name like TypeError or :type-error; without one, or with "
          "Exception, everything is caught. Fuel, memory and time cannot be caught.",
          "(try (/ 1 0) (catch DivisionByZero e (:message e)))", "\"Division by zero\"",
          "the last form, or what the clause gave",
          "ParseError; what is not caught; what finally raises" },
        { "match", S_MATCH, "(match value pattern [when test] body ...)",
          "The first pattern that fits: literals, names, _, [p ... & r], {:k p ... & r}, (:as name "
          "p), (:int name).",
          "(match [1 2 3] [a & r] {:first a :rest r})", "{:first 1 :rest [2 3]}",
          "the body of that clause", "ParseError; MatchError: no clause fits" },
        { "for", S_FOR, "(for [pattern coll :when test :while test :let [...] ...] body)",
          "A vector of what the body gives for every combination, the last binding fastest.",
          "(for [x (range 4) :when (odd? x) y [:a :b]] [x y])", "[[1 :a] [1 :b] [3 :a] [3 :b]]",
          "vector",
          "Generic: an odd number of bindings; TypeError: no vector, list or map, or no pattern; "
          "ArityMismatch" },
        { "dotimes", S_DOTIMES, "(dotimes [name n] body ...)", "The body for 0 to n - 1.",
          "(dotimes [i 3] (* i i))", "4", "the last value; nil when n is not positive",
          "TypeError; ArityMismatch" },
        { "loop", S_LOOP, "(loop [pattern init ...] body ...)",
          "A place to which recur goes back; constant stack.",
          "(loop [i 0 sum 0] (if (< i 5) (recur (+ i 1) (+ sum i)) sum))", "10", "the body's value",
          "ParseError" },
        { "recur", S_RECUR, "(recur value ...)",
          "Back to the innermost loop or function, with new values; in tail position only.",
          "((fn [n acc] (if (= n 0) acc (recur (- n 1) (* acc n)))) 5 1)", "120",
          "nothing: it jumps", "ParseError: not in tail position; ArityMismatch" },
        { "quote", S_QUOTE, "(quote form)", "The form as data. 'form is the same.",
          "'(a [b] {:c 1})", "(a [b] {:c 1})", "list, symbol, vector, map or literal",
          "ParseError" },
        { "quasiquote", S_QUASIQUOTE, "(quasiquote form)",
          "The form as data with holes: `(a ~x ~@xs), where ~x is a value and ~@xs the items of a "
          "sequence.",
          "`(sum ~(+ 1 2) ~@[4 5])", "(sum 3 4 5)", "data",
          "ParseError; TypeError: ~@ of something that is no list, vector or nil" },
        { "unquote", S_UNQUOTE, "(unquote form)", "A hole in a quasiquote. ~form is the same.",
          "`[1 ~(+ 1 1)]", "[1 2]", "the value", "ParseError: outside of a quasiquote" },
        { "unquote-splicing", S_UNQUOTE, "(unquote-splicing form)",
          "A hole for items in a quasiquote. ~@form is the same.", "`[1 ~@[2 3]]", "[1 2 3]",
          "the items", "ParseError: outside of a list or vector in a quasiquote" },
        { "context ref", S_CONTEXT, NULL, NULL, NULL, NULL, NULL, NULL },
        { "with meta", S_META, NULL, NULL, NULL, NULL, NULL, NULL },
        { "with hints", S_HINTS, NULL, NULL, NULL, NULL, NULL, NULL },
        { "delegate to", S_DELEGATE, NULL, NULL, NULL, NULL, NULL, NULL },
        { "and", S_AND, "(and form ...)", "Forms up to the first falsy one. A function as a value.",
          "(and 1 nil (/ 1 0))", "nil",
          "the first falsy value, else the last; true when there is none", "none" },
        { "or", S_OR, "(or form ...)", "Forms up to the first truthy one. A function as a value.",
          "(or nil 2 (/ 1 0))", "2",
          "the first truthy value, else the last; false when there is none", "none" },
        { "when", S_WHEN, "(when test body ...)", "The body if the test is truthy.",
          "(when true 1 2)", "2", "the last body form, or nil", "ParseError" },
        { "when-not", S_WHEN_NOT, "(when-not test body ...)", "The body if the test is falsy.",
          "(when-not nil :ran)", ":ran", "the last body form, or nil", "ParseError" },
        { "if-not", S_IF_NOT, "(if-not test then else?)", "if, the other way round.",
          "(if-not true 1 2)", "2", "the form that was chosen", "ParseError" },
        { "if-let", S_IF_LET, "(if-let [pattern value] then else?)",
          "Bind the value if it is truthy.", "(if-let [x (get {:a 5} :a)] (+ x 1) :none)", "6",
          "the form that was chosen", "ParseError" },
        { "when-let", S_WHEN_LET, "(when-let [pattern value] body ...)",
          "Bind the value if it is truthy and run the body.", "(when-let [x nil] (inc x))", "nil",
          "the last body form, or nil", "ParseError" },
        { "cond", S_COND, "(cond test form ...)",
          "The form behind the first truthy test; :else is one.", "(cond (> 1 2) :a :else :b)",
          ":b", "that form; nil when no test is truthy", "ParseError: an odd number of forms" },
        { "case", S_CASE, "(case value literal form ... default?)",
          "The form behind the literal that equals the value; (a b) stands for several.",
          "(case 2 (1 2) :low :high)", ":low", "that form",
          "ParseError; MatchError: none is equal and there is no default" },
        { "->", S_THREAD_FIRST, "(-> value form ...)",
          "The value as first argument of the first form, that as first of the next.",
          "(-> 5 (- 1) inc)", "5", "the last form", "ParseError" },
        { "->>", S_THREAD_LAST, "(->> value form ...)",
          "The value as last argument of the first form, that as last of the next.",
          "(->> [1 2 3] (map inc) (reduce +))", "9", "the last form", "ParseError" },
        { "get", S_GET, "(get name)",
          "With one argument: what a name stands for here, or in the host's context. With more: "
          "the function get.",
          "(let [x 5] (get :x))", "5", "value, or nil",
          "InvalidArguments: neither keyword nor symbol" },
        { "step", S_STEP,
          "(step \"name\" :expose-context bool :context-keys [...] :params {...} body ...)",
          "Work that the host is told about; inside, %params is the map of :params. With "
          ":expose-context its calls are shown the context (context/set), or not, where the host "
          "exposes it; :context-keys: these keys of it.",
          "(step \"add\" :params {\"n\" 2} (+ 1 (get %params \"n\")))", "3", "the last body form",
          "InvalidArguments; Generic: an error in :params; what the body raises, after the host "
          "was told" },
        { "with-security-profile", S_SECURITY_PROFILE, "(with-security-profile {...} body ...)",
          "A step in which the host allows less: the map names :hosts, :methods, :paths, "
          ":capabilities, :read-only, :deterministic, :isolation-level, :timeout-ms, :max-calls. "
          "With an "
          "isolation level (:isolated, :sandboxed, :process, :wasm, :container, :vm) it may run in "
          "a "
          "cell of its own: its definitions are local, its value is data.",
          "(with-security-profile {:deterministic true} (+ 1 2))", "3", "the last body form",
          "InvalidArguments: no map; what the body raises, after the host was told" },
        { "step-if", S_STEP_IF,
          "(step-if :expose-context bool :context-keys [...] test then else?)",
          "if as a step. Here 0, \"\", [] and {} are false as well.", "(step-if 0 :then :else)",
          ":else", "the form that was chosen", "InvalidArguments; what it raises" },
        { "step-loop", S_STEP_LOOP,
          "(step-loop :expose-context bool :context-keys [...] test body)",
          "The body as long as the test holds, as a step.",
          "(do (def i 0) (step-loop (< i 3) (def i (+ i 1))))", "3", "the last body value, or nil",
          "InvalidArguments; Generic: more than 10,000 turns" },
        { "step-parallel", S_STEP_PARALLEL,
          "(step-parallel :merge-policy policy :expose-context bool :context-keys [...] branch "
          "...)",
          "Branches as one step, one after the other, each in a frame of its own.",
          "(step-parallel (+ 1 1) (+ 2 2))", "[2 4]", "vector",
          "InvalidArguments; the first error of a branch" },
        { "set!", S_REJECTED, "(set! ...)", "Not in the language: values and names do not change.",
          "(try (set! x 1) (catch e (:kind e)))", ":not-implemented", "nothing", "NotImplemented" },
        { "parallel", S_REJECTED, "(parallel ...)", "Not in the language.",
          "(try (parallel 1) (catch e (:kind e)))", ":not-implemented", "nothing",
          "NotImplemented" },
        { "with-resource", S_REJECTED, "(with-resource ...)", "Not in the language.",
          "(try (with-resource 1) (catch e (:kind e)))", ":not-implemented", "nothing",
          "NotImplemented" },
        { "discover-agents", S_REJECTED, "(discover-agents ...)", "Not in the language.",
          "(try (discover-agents) (catch e (:kind e)))", ":not-implemented", "nothing",
          "NotImplemented" },
        { "plan", S_PLAN, "(plan \"name\" :key form ...)",
          "Data about a program: the properties are not evaluated.", "(plan \"p\" :body (+ 1 2))",
          "{:body (+ 1 2) :name \"p\" :type \"plan\"}", "map", "ParseError" },
        { "capability", S_PLAN, "(capability \"name\" :key form ...)", "Data about a capability.",
          "(capability \"c\" :effects [:io])", "{:effects [:io] :name \"c\" :type \"capability\"}",
          "map", "ParseError" },
        { "resource", S_PLAN, "(resource name (property :key form) ...)",
          "Data about a resource; a @version behind the name is cut.",
          "(resource r@v1 (property :k 1))", "{:k 1 :name \"r\" :type \"resource\"}", "map",
          "ParseError" },
        { "intent", S_PLAN, "(intent \"name\" :key form ...)", "Data about an intent.",
          "(intent \"i\" :goal \"g\")", "{:goal \"g\" :name \"i\" :type \"intent\"}", "map",
          "ParseError" },
        { "module", S_MODULE, "(module name (:exports [name ...]) definition ...)",
          "Definitions of their own; the exported ones are reached as name/x.",
          "(do (module m (:exports [two]) (defn two [] (one)) (defn one [] 2)) (m/two))", "2",
          "nil", "ParseError" },
        { "import", S_IMPORT, "(import name :as other), (import name :only [name ...])",
          "Another name for a module, or for what it exports.",
          "(do (module m (:exports [x]) (def x 1)) (import m :as q) q/x)", "1", "nil",
          "ParseError; ModuleNotFound" },
        { "llm-execute", S_LLM,
          "(llm-execute \"model\" \"prompt\"), (llm-execute :model m :prompt p :system s)",
          "A call of the capability ccos.ai.llm-execute.",
          "(try (llm-execute 1 \"p\") (catch e (:kind e)))", ":invalid-arguments",
          "the host's reply", "InvalidArguments; what the host answers" },
        { "throw", S_THROW, "(throw value)",
          "Raise an error: an error value again, any other value as data of an ApplicationError. A "
          "function as a value.",
          "(try (throw {:code 7}) (catch e (:code (:data e))))", "7", "nothing: it raises",
          "ParseError; ApplicationError" },
        { "update", S_UPDATE, NULL, NULL, NULL, NULL, NULL, NULL },
        { 0 },
};

int special_of(struct mv_slice word)
{
        for (const struct special_form *s = special_forms; s->word; s++)
                if (mv_slice_eq_str(word, s->word))
                        return s->special;
        return S_NONE;
}

int special_count(void)
{
        return (int)(sizeof special_forms / sizeof *special_forms) - 1;
}

const char *special_word(int i)
{
        return special_forms[i].word;
}

bool special_can_be_shadowed(int special)
{
        return special > S_SHADOWABLE_;
}
