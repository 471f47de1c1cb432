-- SPDX-License-Identifier: Apache-2.0
local placed = {}

local function safe(col, n)
  for i = 1, n do
    local c, d = placed[i], n - i + 1
    if c == col or c == col + d or c == col - d then return false end
  end
  return true
end

local function solutions(size, n)
  if n == size then return 1 end
  local found = 0
  for col = 0, size - 1 do
    if safe(col, n) then
      placed[n + 1] = col
      found = found + solutions(size, n + 1)
    end
  end
  return found
end

return solutions(9, 0)
