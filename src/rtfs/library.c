/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the standard library that is written in RTFS: every function that calls a function
 * (spec 7.6), and the CCOS prelude (7.9). The machine runs them like any program, so that a callee
 * may suspend at a host call, and nothing recurses on the C stack.
 *
 * (1) A program may define any name again. Only builtins that the compiler binds at once, and names
 *     that start with % (natives_seq.c), are used here: a program cannot change what the library
 *     means.
 * (2) Arguments are checked in the order of spec 7.6: the collection first; the function only if
 *     there is an element.
 * (3) Documentation stands below each source, in the shape of the other builtins' tables. */
#include <rtfs/vm.h>

const char library_source[] =
        "(defn map [f coll]\n"
        "  (let [v (%items \"map\" \"vector, list, or string\" true coll)]\n"
        "    (%function \"map\" \"function\" f v)\n"
        "    (for [x v] (f x))))\n"

        "(defn map-indexed [f coll]\n"
        "  (let [v (%items \"map-indexed\" \"vector, string, or list\" true coll) n (count v)]\n"
        "    (%function \"map-indexed\" \"function\" f v)\n"
        "    (loop [i 0 out (%builder)]\n"
        "      (if (< i n) (recur (+ i 1) (%push! out (f i (nth v i)))) (%like coll out)))))\n"

        "(defn filter [f coll]\n"
        "  (let [v (%items \"filter\" \"vector or list\" false coll)]\n"
        "    (%function \"filter\" \"function\" f v)\n"
        "    (for [x v :when (f x)] x)))\n"

        "(defn remove [f coll]\n"
        "  (let [v (%items \"remove\" \"vector, string, or list\" true coll)]\n"
        "    (%function \"remove\" \"function\" f v)\n"
        "    (%like coll (for [x v :when (not (f x))] x))))\n"

        /* (reduce f coll) starts with the first element. */
        "(defn reduce [& args]\n"
        "  (let [argc (count args)]\n"
        "    (if (or (< argc 2) (> argc 3))\n"
        "      (%arity \"reduce\" \"between 2 and 3\" argc)\n"
        "      (let [f (first args) v (%reduce-items (last args)) n (count v)\n"
        "            with-init (= argc 3)]\n"
        "        (if (and (= n 0) (not with-init))\n"
        "          (%fail-generic \"reduce on empty collection with no initial value\")\n"
        "          (let [start (if with-init 0 1)]\n"
        "            (if (< start n) (%function \"reduce\" \"function\" f v) nil)\n"
        "            (loop [acc (if with-init (nth args 1) (nth v 0)) i start]\n"
        "              (if (< i n) (recur (f acc (nth v i)) (+ i 1)) acc))))))))\n"

        "(defn group-by [f coll]\n"
        "  (if (nil? coll)\n"
        "    {}\n"
        "    (let [v (%items \"group-by\" \"collection\" false coll) n (count v)]\n"
        "      (%function \"group-by\" \"function or keyword\" f v)\n"
        "      (loop [i 0 groups {}]\n"
        "        (if (< i n)\n"
        "          (let [x (nth v i) k (%group-key (if (keyword? f) (%look-up f x) (f x)))]\n"
        "            (recur (+ i 1) (assoc groups k (conj (get groups k nil) x))))\n"
        "          groups)))))\n"

        "(defn every? [f coll]\n"
        "  (let [v (%items \"every?\" \"vector or string\" true coll) n (count v)]\n"
        "    (%function \"every?\" \"function\" f v)\n"
        "    (loop [i 0]\n"
        "      (if (< i n) (if (f (nth v i)) (recur (+ i 1)) false) true))))\n"

        /* (some? x) asks whether x is not nil. */
        "(defn some? [& args]\n"
        "  (let [argc (count args)]\n"
        "    (if (or (< argc 1) (> argc 2))\n"
        "      (%arity \"some?\" \"between 1 and 2\" argc)\n"
        "      (if (= argc 1)\n"
        "        (not (nil? (first args)))\n"
        "        (let [f (first args)\n"
        "              v (%items \"some?\" \"vector or string\" true (last args)) n (count v)]\n"
        "          (%function \"some?\" \"function\" f v)\n"
        "          (loop [i 0]\n"
        "            (if (< i n) (if (f (nth v i)) true (recur (+ i 1))) false)))))))\n"

        "(defn update [coll key f & extra]\n"
        "  (let [old (%update-value coll key) g (%update-function f)]\n"
        "    (assoc coll key (if (empty? extra) (g old) (%apply g old extra)))))\n"

        /* Merge sort, bottom up: runs of `width` items, each pass into a new vector. Stable: the
         * right item goes first only when it is less. */
        "(defn sort [& args]\n"
        "  (let [argc (count args)]\n"
        "    (if (or (< argc 1) (> argc 2))\n"
        "      (%arity \"sort\" \"between 1 and 2\" argc)\n"
        "      (if (= argc 1)\n"
        "        (%sort (first args))\n"
        "        (let [less (first args) coll (last args)\n"
        "              v (%items \"sort\" \"vector or string\" true coll) n (count v)]\n"
        "          (%function \"sort\" \"function\" less v)\n"
        "          (loop [width 1 src v lo 0 mid 0 i 0 j 0 hi 0 out (%builder)]\n"
        "            (if (and (< i mid) (< j hi))\n"
        "              (let [a (nth src i) b (nth src j)]\n"
        "                (if (%before? (less b a))\n"
        "                  (recur width src lo mid i (+ j 1) hi (%push! out b))\n"
        "                  (recur width src lo mid (+ i 1) j hi (%push! out a))))\n"
        "              (if (< i mid)\n"
        "                (recur width src lo mid (+ i 1) j hi (%push! out (nth src i)))\n"
        "                (if (< j hi)\n"
        "                  (recur width src lo mid i (+ j 1) hi (%push! out (nth src j)))\n"
        "                  (if (< hi n)\n"
        "                    (let [m (min n (+ hi width))]\n"
        "                      (recur width src hi m hi m (min n (+ m width)) out))\n"
        "                    (if (< (* 2 width) n)\n"
        "                      (recur (* 2 width) out 0 0 0 0 0 (%builder))\n"
        "                      (if (string? coll) (join \"\" out) out))))))))))))\n"

        "(defn sort-by [f coll]\n"
        "  (let [v (%items \"sort-by\" \"vector or string\" true coll) n (count v)]\n"
        "    (%function \"sort-by\" \"function\" f v)\n"
        "    (loop [i 0 ks (%builder)]\n"
        "      (if (< i n)\n"
        "        (recur (+ i 1) (%push! ks (f (nth v i))))\n"
        "        (let [sorted (%sort-by ks v)]\n"
        "          (if (string? coll) (join \"\" sorted) sorted))))))\n";

const struct native library_docs[] = {
        { "map", 2, 2, NULL, "What f gives on each item.", "(map inc [1 2 3])", "[2 3 4]", "f coll",
          "vector",
          "TypeError: no vector, list, map or string; f is no function and there is an item" },
        { "map-indexed", 2, 2, NULL, "What f gives on each index and item.",
          "(map-indexed vector [:a :b])", "[[0 :a] [1 :b]]", "f coll",
          "vector, list or string, as the argument is",
          "TypeError: no vector, list, map or string; f is no function" },
        { "filter", 2, 2, NULL, "Items for which f is truthy.", "(filter odd? [1 2 3])", "[1 3]",
          "f coll", "vector", "TypeError: no vector, list or map; f is no function" },
        { "remove", 2, 2, NULL, "Items for which f is falsy.", "(remove odd? [1 2 3])", "[2]",
          "f coll", "vector, list or string, as the argument is",
          "TypeError: no vector, list, map or string; f is no function" },
        { "reduce", 2, 3, NULL,
          "Items combined from left to right, beginning with init or the first item.",
          "(reduce + 10 [1 2 3])", "16", "f init? coll",
          "what f gave last; init, or the only item, when f was never called",
          "Generic: no vector, list, map or string, or empty without init; TypeError: f is no "
          "function" },
        { "group-by", 2, 2, NULL, "Items by what f gives on them.", "(group-by even? [1 2 3])",
          "{\"false\" [1 3] \"true\" [2]}", "f coll",
          "map from key to vector; what cannot be a key stands there as its text",
          "TypeError: no vector, list, map or nil; f is no function" },
        { "every?", 2, 2, NULL, "Is f truthy for all items?", "(every? odd? [1 3])", "true",
          "f coll", "boolean; true for an empty collection",
          "TypeError: no vector, list, map or string; f is no function" },
        { "some?", 1, 2, NULL, "Is f truthy for an item? With one argument: is it not nil?",
          "(some? odd? [2 3])", "true", "f coll, or value",
          "boolean; false for an empty collection",
          "TypeError: no vector, list, map or string; f is no function" },
        { "update", 3, -1, NULL,
          "The collection with the value at a key replaced by what f gives on it.",
          "(update {:n 1} :n + 10)", "{:n 11}", "coll key f extra*", "map or vector",
          "TypeError: no map, vector or list, a key it cannot have, or f is no function; "
          "IndexOutOfBounds; Generic: f is a string that names no function" },
        { "sort", 1, 2, NULL,
          "Items in order, equal ones as they stood: by the order of all values, or by less, which "
          "gives a boolean or a negative, zero or positive integer.",
          "(sort > [1 3 2])", "[3 2 1]", "less? coll", "vector, or string of a string",
          "TypeError: no vector, list or string; less is no function or gives something else" },
        { "sort-by", 2, 2, NULL, "Items in the order of what f gives on them.",
          "(sort-by count [\"aaa\" \"b\"])", "[\"b\" \"aaa\"]", "f coll",
          "vector, or string of a string",
          "TypeError: no vector, list, map or string; f is no function" },
        { 0 },
};

#define HOST_CALL(name, id) "(defn " name " [& args] (%apply call \"" id "\" args))\n"

const char ccos_prelude_source[] = HOST_CALL("tool/log", "ccos.io.log") HOST_CALL(
        "tool.log", "ccos.io.log") HOST_CALL("log", "ccos.io.log") HOST_CALL("log-step",
                                                                             "ccos.io.log")
        HOST_CALL("println", "ccos.io.println") HOST_CALL("step", "ccos.io.println") HOST_CALL(
                "tool/time-ms",
                "ccos.system.current-timestamp-ms") HOST_CALL("tool.time-ms",
                                                              "ccos.system.current-timestamp-ms")
                HOST_CALL("current-time-millis", "ccos.system.current-timestamp-ms") HOST_CALL(
                        "get-env", "ccos.system.get-env") HOST_CALL("file-exists?",
                                                                    "ccos.io.file-exists")
                        HOST_CALL("tool/open-file", "ccos.io.open-file") HOST_CALL(
                                "tool/http-fetch",
                                "ccos.network.http-fetch") HOST_CALL("http-fetch",
                                                                     "ccos.network.http-fetch")
                                HOST_CALL("thread/sleep", "ccos.system.sleep-ms") HOST_CALL(
                                        "load-capability",
                                        "ccos.capability.load") "(def ccos.context/set "
                                                                "context/set)\n"

                                                                /* Each draw has a name of its own. */
                                                                "(defn random-int [bound] (call "
                                                                "\"ccos.random.int\" bound "
                                                                "(random-stream)))\n"
                                                                /* Read, change, write. A store that cannot be reached counts as empty, and writing to it as
         * done (spec 7.9). */
                                                                "(defn kv/assoc! [key & more]\n"
                                                                "  (let [old (try (call "
                                                                "\"ccos.state.kv.get\" key) (catch "
                                                                "e nil))\n"
                                                                "        new (%apply assoc (if "
                                                                "(nil? old) {} old) more)]\n"
                                                                "    (try (call "
                                                                "\"ccos.state.kv.put\" key new) "
                                                                "(catch e nil))\n"
                                                                "    new))\n"
                                                                "(defn kv/dissoc! [key & more]\n"
                                                                "  (let [old (try (call "
                                                                "\"ccos.state.kv.get\" key) (catch "
                                                                "e nil))\n"
                                                                "        new (%apply dissoc (if "
                                                                "(nil? old) {} old) more)]\n"
                                                                "    (try (call "
                                                                "\"ccos.state.kv.put\" key new) "
                                                                "(catch e nil))\n"
                                                                "    new))\n"
                                                                "(defn kv/conj! [key & more]\n"
                                                                "  (let [old (try (call "
                                                                "\"ccos.state.kv.get\" key) (catch "
                                                                "e nil))\n"
                                                                "        new (%apply conj (if "
                                                                "(nil? old) [] old) more)]\n"
                                                                "    (try (call "
                                                                "\"ccos.state.kv.put\" key new) "
                                                                "(catch e nil))\n"
                                                                "    new))\n";

/* Examples: what a host that grants nothing makes of them. */
const struct native prelude_docs[] = {
        { "tool/log", 0, -1, NULL, "Write to the log.", "(try (tool/log) (catch e :refused))",
          ":refused", "message*", "the reply of ccos.io.log", "of the call" },
        { "tool.log", 0, -1, NULL, "Write to the log.", "(try (tool.log) (catch e :refused))",
          ":refused", "message*", "the reply of ccos.io.log", "of the call" },
        { "log", 0, -1, NULL, "Write to the log.", "(try (log) (catch e :refused))", ":refused",
          "message*", "the reply of ccos.io.log", "of the call" },
        { "log-step", 0, -1, NULL, "Write to the log.", "(try (log-step) (catch e :refused))",
          ":refused", "message*", "the reply of ccos.io.log", "of the call" },
        { "println", 0, -1, NULL, "Print a line.", "(try (println) (catch e :refused))", ":refused",
          "value*", "the reply of ccos.io.println", "of the call" },
        { "step", 0, -1, NULL, "With a keyword in front: print a line.",
          "(try (step :info \"text\") (catch e :refused))", ":refused", "level value*",
          "the reply of ccos.io.println", "of the call" },
        { "tool/time-ms", 0, -1, NULL, "Milliseconds since 1970.",
          "(try (tool/time-ms) (catch e :refused))", ":refused", "",
          "the reply of ccos.system.current-timestamp-ms", "of the call" },
        { "tool.time-ms", 0, -1, NULL, "Milliseconds since 1970.",
          "(try (tool.time-ms) (catch e :refused))", ":refused", "",
          "the reply of ccos.system.current-timestamp-ms", "of the call" },
        { "current-time-millis", 0, -1, NULL, "Milliseconds since 1970.",
          "(try (current-time-millis) (catch e :refused))", ":refused", "",
          "the reply of ccos.system.current-timestamp-ms", "of the call" },
        { "get-env", 0, -1, NULL, "A variable of the host's environment.",
          "(try (get-env) (catch e :refused))", ":refused", "name",
          "the reply of ccos.system.get-env", "of the call" },
        { "file-exists?", 0, -1, NULL, "Is there such a file?",
          "(try (file-exists?) (catch e :refused))", ":refused", "path",
          "the reply of ccos.io.file-exists", "of the call" },
        { "tool/open-file", 0, -1, NULL, "The text of a file.",
          "(try (tool/open-file) (catch e :refused))", ":refused", "path",
          "the reply of ccos.io.open-file", "of the call" },
        { "tool/http-fetch", 0, -1, NULL, "The answer to a request.",
          "(try (tool/http-fetch) (catch e :refused))", ":refused", "url-or-map",
          "the reply of ccos.network.http-fetch", "of the call" },
        { "http-fetch", 0, -1, NULL, "The answer to a request.",
          "(try (http-fetch) (catch e :refused))", ":refused", "url-or-map",
          "the reply of ccos.network.http-fetch", "of the call" },
        { "thread/sleep", 0, -1, NULL, "Wait.", "(try (thread/sleep) (catch e :refused))",
          ":refused", "milliseconds", "the reply of ccos.system.sleep-ms", "of the call" },
        { "load-capability", 0, -1, NULL, "Load the manifest of a capability.",
          "(try (load-capability) (catch e :refused))", ":refused", "path",
          "the reply of ccos.capability.load", "of the call" },
        { "ccos.context/set", 2, 2, NULL, "The same as context/set.", "(ccos.context/set :k 5)",
          "nil", "key value", "nil", "TypeError: the key is no string, keyword or symbol" },
        { "random-int", 1, 1, NULL,
          "A number from 0 to below a bound. With a seed the same in every run, and in each branch "
          "of step-parallel whatever the others draw.",
          "(try (random-int 6) (catch e :refused))", ":refused", "bound",
          "the reply of ccos.random.int", "of the call" },
        { "kv/assoc!", 1, -1, NULL,
          "Read, set keys of and write what the key-value store holds under a key.",
          "(kv/assoc! \"k\" :a 1)", "{:a 1}", "key map-key value ...",
          "the new value; a store that cannot be reached counts as an empty map",
          "as assoc, dissoc and conj; those of the two calls are swallowed" },
        { "kv/dissoc!", 1, -1, NULL,
          "Read, remove keys from and write what the key-value store holds under a key.",
          "(kv/dissoc! \"k\" :a)", "{}", "key map-key*",
          "the new value; a store that cannot be reached counts as an empty map",
          "as assoc, dissoc and conj; those of the two calls are swallowed" },
        { "kv/conj!", 1, -1, NULL,
          "Read, add items to and write what the key-value store holds under a key.",
          "(kv/conj! \"k\" 1)", "[1]", "key item*",
          "the new value; a store that cannot be reached counts as an empty vector",
          "as assoc, dissoc and conj; those of the two calls are swallowed" },
        { 0 },
};
