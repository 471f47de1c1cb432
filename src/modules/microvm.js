// SPDX-License-Identifier: Apache-2.0
'use strict';
// Capabilities for a script behind the wall: microvm.call("ccos.io.read-file", path).
//
// A call either returns the capability's value or throws Denied (not granted) or MicrovmError. Values: null, booleans,
// numbers, bigint, strings, arrays, plain objects, Map, Keyword, Sym. A number without a fraction travels as an integer;
// Float wraps one that must not. Integers beyond 2^53 come as bigint. The encoding is deterministic CBOR (RFC 8949).
const fs = require('fs');

const VERSION = 1, CALL = 2, REPLY = 3, FAULT = 4, LOG = 6;
const PAYLOAD_MAX = 8 << 20, DEPTH_MAX = 512;
const TAG_IDENTIFIER = 39, TAG_LIST = 52225, TAG_FUNCTION = 52226, TAG_ERROR = 52227;
const INT_MAX = (1n << 63n) - 1n, INT_MIN = -(1n << 63n);

class MicrovmError extends Error {
    constructor(kind, message) {
        super(message);
        this.name = 'MicrovmError';
        this.kind = kind;
    }
}

class Denied extends MicrovmError {
    constructor(fault) {
        super(fault.kind, fault.message);
        this.name = 'Denied';
        this.operation = fault.operation || '';
        this.capability = fault.capability || '';
        this.context = fault.context || '';
    }
}

class Keyword {
    constructor(name) { this.name = name; }
    toString() { return ':' + this.name; }
}

class Sym {
    constructor(name) { this.name = name; }
    toString() { return this.name; }
}

class List extends Array {} // a list, where an array is a vector

class Float {
    constructor(value) { this.value = value; }
    valueOf() { return this.value; }
}

// --- encoding

function head(major, n) {
    const top = major << 5, v = BigInt(n);
    if (v < 24n) return Buffer.from([top | Number(v)]);
    if (v < 1n << 8n) return Buffer.from([top | 24, Number(v)]);
    const size = v < 1n << 16n ? 2 : v < 1n << 32n ? 4 : 8;
    const b = Buffer.alloc(1 + size);
    b[0] = top | (size === 2 ? 25 : size === 4 ? 26 : 27);
    if (size === 2) b.writeUInt16BE(Number(v), 1);
    else if (size === 4) b.writeUInt32BE(Number(v), 1);
    else b.writeBigUInt64BE(v, 1);
    return b;
}

// Half precision has 11 significant bits, exponents -14..15, and multiples of 2^-24 below.
function toHalf(v) {
    const sign = v < 0 || Object.is(v, -0) ? 0x8000 : 0, a = Math.abs(v);
    if (a === 0) return sign;
    if (a === Infinity) return sign | 0x7c00;
    let e = Math.max(Math.floor(Math.log2(a)), -14);
    if (a < 2 ** e && e > -14) e--; // the logarithm rounds
    if (a >= 2 ** (e + 1)) e++;
    const m = a / 2 ** (e - 10);
    if (e > 15 || !Number.isInteger(m)) return -1;
    return m < 1024 ? sign | m : sign | (e + 15) << 10 | (m - 1024);
}

function float(v) {
    if (Number.isNaN(v)) return Buffer.from([0xf9, 0x7e, 0x00]);
    const half = toHalf(v);
    if (half >= 0) return Buffer.from([0xf9, half >> 8, half & 255]);
    const single = Object.is(Math.fround(v), v), b = Buffer.alloc(single ? 5 : 9);
    b[0] = single ? 0xfa : 0xfb;
    if (single) b.writeFloatBE(v, 1);
    else b.writeDoubleBE(v, 1);
    return b;
}

function integer(v) {
    if (v < INT_MIN || v > INT_MAX) throw new MicrovmError('InvalidArgument', 'an integer does not fit 64 bits');
    return v >= 0n ? head(0, v) : head(1, -1n - v);
}

function text(s) {
    const raw = Buffer.from(s, 'utf8');
    if (raw.toString('utf8') !== s)
        throw new MicrovmError('InvalidArgument', 'text with half a character (a lone surrogate)');
    return Buffer.concat([head(3, raw.length), raw]);
}

function entries(list, depth) {
    const raw = list.map(([k, v]) => {
        if (!(typeof k === 'string' || typeof k === 'bigint' || Number.isInteger(k) || k instanceof Keyword))
            throw new MicrovmError('InvalidArgument', "a map's keys are text, keywords or integers");
        return [encode(k, depth), encode(v, depth)];
    });
    raw.sort((a, b) => Buffer.compare(a[0], b[0]));
    return Buffer.concat([head(5, raw.length), ...raw.flat()]);
}

function encode(v, depth = 0) {
    if (depth > DEPTH_MAX) throw new MicrovmError('InvalidArgument', 'nested deeper than ' + DEPTH_MAX);
    if (v === null || v === undefined) return Buffer.from([0xf6]);
    if (typeof v === 'boolean') return Buffer.from([v ? 0xf5 : 0xf4]);
    if (typeof v === 'bigint') return integer(v);
    if (typeof v === 'number')
        return Number.isSafeInteger(v) && !Object.is(v, -0) ? integer(BigInt(v)) : float(v);
    if (v instanceof Float) return float(v.value);
    if (typeof v === 'string') return text(v);
    if (v instanceof Keyword) return Buffer.concat([head(6, TAG_IDENTIFIER), text(':' + v.name)]);
    if (v instanceof Sym) return Buffer.concat([head(6, TAG_IDENTIFIER), text(v.name)]);
    if (Array.isArray(v)) {
        const items = Array.from(v, item => encode(item, depth + 1));
        const tag = v instanceof List ? [head(6, TAG_LIST)] : [];
        return Buffer.concat([...tag, head(4, items.length), ...items]);
    }
    if (v instanceof Map) return entries([...v], depth + 1);
    if (typeof v === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(v)))
        return entries(Object.entries(v), depth + 1);
    throw new MicrovmError('InvalidArgument', 'a ' + typeof v + ' is no value');
}

// --- decoding: only what the encoder above could have written

class Reader {
    constructor(data) {
        this.data = data;
        this.at = 0;
    }

    take(n) {
        if (n > this.data.length - this.at) throw new RangeError('cut short');
        this.at += n;
        return this.data.subarray(this.at - n, this.at);
    }

    head() {
        const first = this.take(1)[0], major = first >> 5, n = first & 31;
        if (major === 7 || n < 24) return [major, BigInt(n)];
        if (n > 27) throw new RangeError('length form');
        const size = 1 << (n - 24), raw = this.take(size);
        const v = size === 8 ? raw.readBigUInt64BE(0) : BigInt(raw.readUIntBE(0, size));
        if (v < (size === 1 ? 24n : 1n << BigInt(4 * size))) throw new RangeError('not the shortest form');
        return [major, v];
    }

    simple(n) {
        if (n === 20 || n === 21) return n === 21;
        if (n === 22) return null;
        if (n < 25 || n > 27) throw new RangeError('simple value');
        const raw = this.take(1 << (n - 24));
        const v = n === 25 ? fromHalf(raw.readUInt16BE(0)) : n === 26 ? raw.readFloatBE(0) : raw.readDoubleBE(0);
        if (!float(v).equals(Buffer.concat([Buffer.from([0xe0 | n]), raw]))) throw new RangeError('not the shortest float');
        return v;
    }

    map(count, depth) {
        const list = [];
        let last = Buffer.alloc(0), plain = true;
        for (let i = 0; i < count; i++) {
            const start = this.at, key = this.item(depth), raw = this.data.subarray(start, this.at);
            if (Buffer.compare(raw, last) <= 0 || raw[0] >> 5 === 7 ||
                !(typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint' || key instanceof Keyword))
                throw new RangeError('map key');
            last = raw;
            plain = plain && typeof key === 'string';
            list.push([key, this.item(depth)]);
        }
        return plain ? Object.fromEntries(list) : new Map(list);
    }

    tagged(tag, depth) {
        const v = this.item(depth);
        if (tag === TAG_IDENTIFIER && typeof v === 'string')
            return v.startsWith(':') ? new Keyword(v.slice(1)) : new Sym(v);
        if (tag === TAG_LIST && Array.isArray(v)) return List.from(v);
        if (tag === TAG_FUNCTION && v === null) return new Sym('#<function>');
        if (tag === TAG_ERROR && Array.isArray(v) && v.length === 3) return new MicrovmError(v[0], v[1]);
        throw new RangeError('tag');
    }

    item(depth = 0) {
        if (depth > DEPTH_MAX) throw new RangeError('depth');
        const [major, n] = this.head();
        if (major < 2) {
            if (n > INT_MAX) throw new RangeError('integer');
            const v = major === 0 ? n : -1n - n;
            return v >= BigInt(Number.MIN_SAFE_INTEGER) && v <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(v) : v;
        }
        if (major < 6 && n > BigInt(this.data.length - this.at)) throw new RangeError('count');
        const count = Number(n);
        if (major === 2) return Buffer.from(this.take(count));
        if (major === 3) return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(count));
        if (major === 4) return Array.from({ length: count }, () => this.item(depth + 1));
        if (major === 5) return this.map(count, depth + 1);
        return major === 6 ? this.tagged(count, depth + 1) : this.simple(count);
    }
}

function fromHalf(h) {
    const sign = h & 0x8000 ? -1 : 1, e = h >> 10 & 31, m = h & 1023;
    if (e === 31) return m ? NaN : sign * Infinity;
    return e ? sign * 2 ** (e - 15) * (1 + m / 1024) : sign * m * 2 ** -24;
}

function decode(data) {
    const r = new Reader(data), v = r.item();
    if (r.at !== data.length) throw new RangeError('bytes are left over');
    return v;
}

// --- the door

const fd = Number(process.env.MICROVM_DOOR || -1);
let seq = 0;

function send(kind, number, payload) {
    if (fd < 0) throw new MicrovmError('Unavailable', 'this script was started without a door');
    if (payload.length > PAYLOAD_MAX)
        throw new MicrovmError('InvalidArgument', 'arguments of more than ' + PAYLOAD_MAX + ' bytes');
    const header = Buffer.alloc(16);
    header.writeUInt32LE(payload.length, 0);
    header[4] = VERSION;
    header[5] = kind;
    header.writeBigUInt64LE(BigInt(number), 8);
    let data = Buffer.concat([header, payload]);
    while (data.length) data = data.subarray(fs.writeSync(fd, data));
}

function read(n) {
    const data = Buffer.alloc(n);
    for (let at = 0; at < n;) {
        const got = fs.readSync(fd, data, at, n - at, null);
        if (got === 0) throw new MicrovmError('Unavailable', 'the host closed the door');
        at += got;
    }
    return data;
}

function receive(number) {
    const h = read(16), length = h.readUInt32LE(0);
    if (h[4] !== VERSION || (h[5] !== REPLY && h[5] !== FAULT) || h.readUInt16LE(6) || length > PAYLOAD_MAX ||
        h.readBigUInt64LE(8) !== BigInt(number))
        throw new MicrovmError('Unavailable', "the door does not speak this module's version");
    return [h[5], decode(read(length))];
}

// Call a capability: its value, or throws Denied or MicrovmError.
function call(capability, ...args) {
    const payload = encode([String(capability), args]);
    send(CALL, ++seq, payload);
    const [kind, value] = receive(seq);
    if (kind === REPLY) return value;
    throw value.kind === 'SecurityViolation' ? new Denied(value) : new MicrovmError(value.kind, value.message);
}

// A line for the host's diagnostics; never part of the program's output.
function log(line) {
    send(LOG, 0, encode(String(line)));
}

module.exports = { call, log, encode, decode, MicrovmError, Denied, Keyword, Sym, List, Float };
