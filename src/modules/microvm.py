# SPDX-License-Identifier: Apache-2.0
"""Capabilities for a script behind the wall: microvm.call("ccos.io.read-file", path).

A call either returns the capability's value or raises Denied (not granted; it says which grant would allow it), or Error.
Values are None, bool, int, float, str, list, dict, Keyword and Symbol. The encoding is deterministic CBOR (RFC 8949)."""
import os
import struct
import sys

VERSION, CALL, REPLY, FAULT, LOG = 1, 2, 3, 4, 6
_PAYLOAD_MAX = 8 << 20
_TAG_IDENTIFIER, _TAG_LIST, _TAG_FUNCTION, _TAG_ERROR = 39, 52225, 52226, 52227
_DEPTH_MAX = 512
sys.setrecursionlimit(max(sys.getrecursionlimit(), 8 * _DEPTH_MAX))  # a value may nest as deep as the host allows


class Error(Exception):
    """A call that was allowed and failed, or could not be made."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind
        self.message = message


class Denied(Error):
    """A call that was not allowed."""

    def __init__(self, kind, message, operation="", capability="", context=""):
        super().__init__(kind, message)
        self.operation = operation
        self.capability = capability
        self.context = context


class Keyword(str):
    """A keyword, without its colon; never equal to the text of its name."""

    def __eq__(self, other):
        return isinstance(other, Keyword) and str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash((Keyword, str(self)))


class Symbol(str):
    """A symbol."""


class List(list):
    """A list, where a plain Python list is a vector."""


# --- encoding ---------------------------------------------------------------------------------------------------------


def _head(major, n):
    top = major << 5
    if n < 24:
        return bytes((top | n,))
    for code, size, layout in ((24, 8, ">B"), (25, 16, ">H"), (26, 32, ">I"), (27, 64, ">Q")):
        if n < 1 << size:
            return bytes((top | code,)) + struct.pack(layout, n)
    raise Error("InvalidArgument", "an integer does not fit 64 bits")


def _float(v):
    if v != v:
        return b"\xf9\x7e\x00"
    for code, layout in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            packed = struct.pack(layout, v)
        except OverflowError:
            continue
        if struct.unpack(layout, packed)[0] == v:
            return bytes((code,)) + packed
    return b"\xfb" + struct.pack(">d", v)


def _text(s):
    try:
        raw = s.encode("utf-8")
    except UnicodeEncodeError:
        raise Error("InvalidArgument", "text with half a character (a lone surrogate)") from None
    return _head(3, len(raw)) + raw


def _map(v, depth):
    entries = sorted((encode(k, depth), encode(value, depth)) for k, value in v.items())
    for key in v:
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise Error("InvalidArgument", "a map's keys are text, keywords or integers")
    return _head(5, len(entries)) + b"".join(k + value for k, value in entries)


def encode(v, depth=0):
    if depth > _DEPTH_MAX:
        raise Error("InvalidArgument", "nested deeper than %d" % _DEPTH_MAX)
    if v is None:
        return b"\xf6"
    if v is True or v is False:
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        if not -(1 << 63) <= v < 1 << 63:
            raise Error("InvalidArgument", "an integer does not fit 64 bits")
        return _head(0, v) if v >= 0 else _head(1, -1 - v)
    if isinstance(v, float):
        return _float(v)
    if isinstance(v, Keyword):
        return _head(6, _TAG_IDENTIFIER) + _text(":" + v)
    if isinstance(v, Symbol):
        return _head(6, _TAG_IDENTIFIER) + _text(v)
    if isinstance(v, str):
        return _text(v)
    if isinstance(v, (list, tuple)):
        tag = _head(6, _TAG_LIST) if isinstance(v, List) else b""
        return tag + _head(4, len(v)) + b"".join(encode(item, depth + 1) for item in v)
    if isinstance(v, dict):
        return _map(v, depth + 1)
    raise Error("InvalidArgument", "a %s is no value" % type(v).__name__)


# --- decoding: only what the encoder above could have written ----------------------------------------------------------


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def head(self):
        first = self.take(1)[0]
        major, n = first >> 5, first & 31
        if major == 7 or n < 24:
            return major, n
        if n > 27:
            raise ValueError("length form")
        size = 1 << (n - 24)
        value = int.from_bytes(self.take(size), "big")
        if value < (24 if size == 1 else 1 << (4 * size)):
            raise ValueError("not the shortest form")
        return major, value

    def simple(self, n):
        if n in (20, 21):
            return n == 21
        if n == 22:
            return None
        layouts = {25: ">e", 26: ">f", 27: ">d"}
        if n not in layouts:
            raise ValueError("simple value")
        raw = self.take(1 << (n - 24))
        v = struct.unpack(layouts[n], raw)[0]
        if _float(v) != bytes((0xE0 | n,)) + raw:
            raise ValueError("not the shortest float")
        return v

    def map(self, count, depth):
        ret, last = {}, b""
        for _ in range(count):
            start = self.at
            key = self.item(depth)
            raw = self.data[start:self.at]
            if raw <= last or isinstance(key, bool) or not isinstance(key, (int, str)):
                raise ValueError("map key")
            last = raw
            ret[key] = self.item(depth)
        return ret

    def tagged(self, tag, depth):
        v = self.item(depth)
        if tag == _TAG_IDENTIFIER and type(v) is str:
            return Keyword(v[1:]) if v.startswith(":") else Symbol(v)
        if tag == _TAG_LIST and type(v) is list:
            return List(v)
        if tag == _TAG_FUNCTION and v is None:
            return Symbol("#<function>")
        if tag == _TAG_ERROR and type(v) is list and len(v) == 3:
            return Error(v[0], v[1])
        raise ValueError("tag")

    def item(self, depth=0):
        if depth > _DEPTH_MAX:
            raise ValueError("depth")
        major, n = self.head()
        if major in (0, 1):
            if n >= 1 << 63:
                raise ValueError("integer")
            return n if major == 0 else -1 - n
        if major in (4, 5) and n > len(self.data) - self.at:
            raise ValueError("count")
        if major == 2:
            return self.take(n)
        if major == 3:
            return self.take(n).decode("utf-8")
        if major == 4:
            return [self.item(depth + 1) for _ in range(n)]
        if major == 5:
            return self.map(n, depth + 1)
        if major == 6:
            return self.tagged(n, depth + 1)
        return self.simple(n)


def decode(data):
    r = _Reader(data)
    v = r.item()
    if r.at != len(data):
        raise ValueError("bytes are left over")
    return v


# --- the door ---------------------------------------------------------------------------------------------------------

_fd = int(os.environ.get("MICROVM_DOOR", "-1"))
_seq = 0


def _send(kind, seq, payload):
    if _fd < 0:
        raise Error("Unavailable", "this script was started without a door")
    if len(payload) > _PAYLOAD_MAX:
        raise Error("InvalidArgument", "arguments of more than %d bytes" % _PAYLOAD_MAX)
    data = memoryview(struct.pack("<IBBHQ", len(payload), VERSION, kind, 0, seq) + payload)
    while data:
        data = data[os.write(_fd, data):]


def _read(n):
    parts = []
    while n:
        part = os.read(_fd, min(n, 1 << 20))
        if not part:
            raise Error("Unavailable", "the host closed the door")
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _receive(seq):
    length, version, kind, zero, answered = struct.unpack("<IBBHQ", _read(16))
    if version != VERSION or zero or length > _PAYLOAD_MAX or kind not in (REPLY, FAULT) or answered != seq:
        raise Error("Unavailable", "the door does not speak this module's version")
    return kind, decode(_read(length))


def call(capability, *args):
    """Call a capability; its value, or Denied, or Error."""
    global _seq
    payload = encode([str(capability), list(args)])
    _send(CALL, _seq + 1, payload)
    _seq += 1
    kind, value = _receive(_seq)
    if kind == REPLY:
        return value
    if value["kind"] == "SecurityViolation":
        raise Denied(value["kind"], value["message"], value.get("operation", ""), value.get("capability", ""),
                     value.get("context", ""))
    raise Error(value["kind"], value["message"])


def log(text):
    """A line for the host's diagnostics; never part of the program's output."""
    _send(LOG, 0, encode(str(text)))
