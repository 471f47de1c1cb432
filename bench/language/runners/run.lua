-- SPDX-License-Identifier: Apache-2.0
-- run.lua PROGRAM [TEXT]: "SECONDS<tab>VALUE" of loading and running a program, in processor time.
local path, text_path = arg[1], arg[2]
if text_path then
  local f = assert(io.open(text_path, "rb"))
  TEXT = f:read("*a")
  f:close()
end
local start = os.clock()
local value = assert(loadfile(path))()
print(string.format("%.6f\t%d", os.clock() - start, value))
