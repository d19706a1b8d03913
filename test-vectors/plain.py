"""Encodings and cryptography in plain Python, for `check.py`: a second writing of what DataFuse puts together itself.

ristretto255 (RFC 9496) and hashing to it (RFC 9380) in integers, deterministic CBOR (RFC 8949, 4.2), Bech32m (BIP 350), HPKE's
key schedule (RFC 9180), keyed BLAKE3 of one block. From `cryptography` come X25519, ChaCha20-Poly1305 and Ed25519.

Nothing here is constant-time or fast: it is for vectors, never for secrets.
"""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

unhex = bytes.fromhex


class Refused(Exception):
    """What the protocol refuses, by the name that the bad vectors give it."""


# ---- bytes: lp, CBOR, Bech32m --------------------------------------------------------------------------------------------


def lp(*fields):
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


def u64(number):
    return struct.pack(">Q", number)


def cbor_head(data, at):
    """Major type, argument (None: indefinite or not at all), where the head ends, and whether it is the shortest."""
    if at >= len(data):
        raise Refused("malformed")
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1, True
    if info > 27:
        return major, None, at + 1, False
    size = 1 << (info - 24)
    if at + 1 + size > len(data):
        raise Refused("malformed")
    number = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    return major, number, at + 1 + size, number >= (24, 256, 1 << 16, 1 << 32)[info - 24]


SIMPLE = {b"\xf4": False, b"\xf5": True, b"\xf6": None}


def cbor_item(data, at):
    if data[at : at + 1] in SIMPLE:
        return SIMPLE[data[at : at + 1]], at + 1
    major, number, at, shortest = cbor_head(data, at)
    if number is None or not shortest or major not in (0, 2, 3, 4):
        raise Refused("malformed")
    if major == 0:
        return number, at
    if major == 4:
        items = []
        for _ in range(number):
            item, at = cbor_item(data, at)
            items.append(item)
        return items, at
    if at + number > len(data):
        raise Refused("malformed")
    piece = data[at : at + number]
    try:
        return (piece if major == 2 else piece.decode()), at + number
    except UnicodeDecodeError as error:
        raise Refused("malformed") from error


def cbor(data, form):
    """Decodes deterministic CBOR that begins with version 1 and has this form (see `fits`)."""
    major, _, at, _ = cbor_head(data, 0)
    if major != 4:
        raise Refused("malformed")
    major, number, _, _ = cbor_head(data, at)
    if major != 0 or number is None:
        raise Refused("malformed")
    if number != 1:
        raise Refused("unknown version")
    item, end = cbor_item(data, 0)
    if end != len(data) or not fits(item, (int, *form)):
        raise Refused("malformed")
    return item[1:]


def fits(item, form):
    """A type; a number n for n bytes; a tuple for an array of these; [form] for any number of them; {form} for it or null."""
    if isinstance(form, type):
        return isinstance(item, form) and isinstance(item, bool) == (form is bool)
    if isinstance(form, int):
        return isinstance(item, bytes) and len(item) == form
    if isinstance(form, set):
        return item is None or all(fits(item, inner) for inner in form)
    if not isinstance(item, list):
        return False
    if isinstance(form, list):
        return all(fits(inner, form[0]) for inner in item)
    return len(item) == len(form) and all(map(fits, item, form))


def cbor_bytes(item):
    def head(major, number):
        for info, limit, size in ((24, 1 << 8, 1), (25, 1 << 16, 2), (26, 1 << 32, 4), (27, 1 << 64, 8)):
            if number < 24:
                return bytes([major << 5 | number])
            if number < limit:
                return bytes([major << 5 | info]) + number.to_bytes(size, "big")
        raise ValueError(number)

    if item is None:
        return b"\xf6"
    if isinstance(item, bool):
        return b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    return head(4, len(item)) + b"".join(map(cbor_bytes, item))


ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32_checksum(prefix, groups):
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + groups
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


def name_text(name):
    number, groups = int.from_bytes(name, "big"), []
    for shift in range(len(name) * 8 - 5, -1, -5):  # 65 bytes are 104 groups exactly
        groups.append(number >> shift & 31)
    check = bech32_checksum("dfpub", groups + [0] * 6) ^ 0x2BC830A3
    return "dfpub1" + "".join(ALPHABET[g] for g in groups + [check >> 5 * (5 - i) & 31 for i in range(6)])


def parse_name(text):
    text = text.strip()
    if text not in (text.lower(), text.upper()):
        raise Refused("invalid public name")
    prefix, found, rest = text.lower().rpartition("1")
    if not found or prefix != "dfpub" or len(rest) < 6 or any(c not in ALPHABET for c in rest):
        raise Refused("invalid public name")
    groups = [ALPHABET.index(c) for c in rest]
    if bech32_checksum(prefix, groups) != 0x2BC830A3:
        raise Refused("invalid public name")
    groups = groups[:-6]
    if len(groups) * 5 % 8:  # bits left over: no name has them
        raise Refused("invalid public name")
    number = 0
    for group in groups:
        number = number << 5 | group
    return check_name(number.to_bytes(len(groups) * 5 // 8, "big"))


def check_name(name):
    """The 65 bytes of a public name, where they are one."""
    if len(name) != 65:
        raise Refused("invalid public name")
    if name[0] != 1:
        raise Refused("unknown version")
    point = edwards_decode(name[1:33])
    if point is None or is_identity(multiply(8, point)) or has_small_order(name[33:]):
        raise Refused("invalid public name")
    return name


# ---- the group: edwards25519 with RFC 9496 on top ------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def is_negative(x):
    return x % P & 1


def magnitude(x):
    return -x % P if is_negative(x) else x % P


def sqrt_ratio(u, v):
    """Whether u/v is a square, and the root of u/v, or of i*u/v (RFC 9496, 4.2)."""
    root = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * root * root % P
    if check in (-u % P, -u * SQRT_M1 % P):
        root = root * SQRT_M1 % P
    return check in (u % P, -u % P), magnitude(root)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]
SQRT_AD_MINUS_ONE = -sqrt_ratio((-D - 1) % P, 1)[1] % P
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P
IDENTITY = (0, 1, 1, 0)


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    m, n = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(k, point):
    product = IDENTITY
    for bit in bin(k)[2:]:
        product = add(product, product)
        if bit == "1":
            product = add(product, point)
    return product


def is_identity(point):
    return point[0] == 0 and point[1] == point[2]


def edwards_decode(data):
    number = int.from_bytes(data, "little")
    y = (number & (1 << 255) - 1) % P
    square, x = sqrt_ratio((y * y - 1) % P, (D * y * y + 1) % P)
    if not square:
        return None
    x = -x % P if number >> 255 else x
    return x, y, 1, x * y % P


def decode(data):
    """RFC 9496, 4.3.1; the identity is refused too."""
    s = int.from_bytes(data, "little")
    if s >= P or is_negative(s):
        raise Refused("is not canonical")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inverse = sqrt_ratio(1, v * u2 * u2 % P)
    dx, dy = inverse * u2 % P, inverse * inverse * u2 * v % P
    x, y = magnitude(2 * s * dx), u1 * dy % P
    if not square or is_negative(x * y) or y == 0:
        raise Refused("is not canonical")
    if s == 0:
        raise Refused("is the identity")
    return x, y, 1, x * y % P


def encode(point):
    """RFC 9496, 4.3.2."""
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    _, inverse = sqrt_ratio(1, u1 * u2 * u2 % P)
    d1, d2 = inverse * u1 % P, inverse * u2 % P
    z_inverse = d1 * d2 * t % P
    if is_negative(t * z_inverse):
        x, y, d = y * SQRT_M1 % P, x * SQRT_M1 % P, d1 * INVSQRT_A_MINUS_D % P
    else:
        d = d2
    if is_negative(x * z_inverse):
        y = -y % P
    return magnitude(d * (z - y)).to_bytes(32, "little")


def elligator(data):
    """RFC 9496, 4.3.4: one half of the map."""
    t = (int.from_bytes(data, "little") & (1 << 255) - 1) % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * ONE_MINUS_D_SQ % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    s, c = (s, P - 1) if square else (-magnitude(s * t) % P, r)
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


BASE = decode(unhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))
DST = b"DATAFUSE-V01-R255_XMD:SHA-512_R255MAP_RO_"


def expand_message(dst, message, length=64):
    """RFC 9380, 5.3.1, with SHA-512, for as much as one digest gives."""
    assert length <= 64 and len(dst) <= 45
    tag = dst + bytes([len(dst)])
    first = hashlib.sha512(bytes(128) + message + struct.pack(">H", length) + b"\0" + tag).digest()
    return hashlib.sha512(first + b"\x01" + tag).digest()[:length]


def element_of(uniform):
    return add(elligator(uniform[:32]), elligator(uniform[32:]))


def scalar(data):
    number = int.from_bytes(data, "little")
    if number == 0 or number >= ORDER:
        raise Refused("invalid scalar")
    return number


def scalar_bytes(number):
    return (number % ORDER).to_bytes(32, "little")


def point(data):
    try:
        return decode(data)
    except Refused as error:
        raise Refused("invalid point") from error


# ---- keyed BLAKE3 of one block, HKDF, HPKE, Ed25519 ----------------------------------------------------------------------


def blake3_keyed(key, data):
    """Keyed BLAKE3 of at most 64 bytes: one compression, which is first, last and root at once."""
    mask = (1 << 32) - 1
    chaining, block = struct.unpack("<8I", key), list(struct.unpack("<16I", data.ljust(64, b"\0")))
    start = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A)
    v = [*chaining, *start, 0, 0, len(data), 1 | 2 | 8 | 16]

    def rotate(word, bits):
        return (word >> bits | word << 32 - bits) & mask

    def mix(a, b, c, d, x, y):
        for word, first, second in ((x, 16, 12), (y, 8, 7)):
            v[a] = v[a] + v[b] + word & mask
            v[d] = rotate(v[d] ^ v[a], first)
            v[c] = v[c] + v[d] & mask
            v[b] = rotate(v[b] ^ v[c], second)

    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(7):
        for index, lanes in enumerate(columns + diagonals):
            mix(*lanes, block[2 * index], block[2 * index + 1])
        block = [block[i] for i in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)]
    return struct.pack("<8I", *(v[i] ^ v[i + 8] for i in range(8)))


def hkdf_extract(hash_name, salt, secret):
    return hmac.digest(salt or bytes(hashlib.new(hash_name).digest_size), secret, hash_name)


def hkdf_expand(hash_name, prk, info, length):
    output, piece, counter = b"", b"", 1
    while len(output) < length:
        piece = hmac.digest(prk, piece + info + bytes([counter]), hash_name)
        output, counter = output + piece, counter + 1
    return output[:length]


def derive(secret, length, *info):
    return hkdf_expand("sha512", hkdf_extract("sha512", b"", secret), lp(*info), length)


def derive_scalar(secret, *info):
    number = int.from_bytes(derive(secret, 64, *info), "little") % ORDER
    assert number != 0
    return number


KEM, SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"


def labeled_extract(suite, salt, label, secret):
    return hkdf_extract("sha256", salt, b"HPKE-v1" + suite + label + secret)


def labeled_expand(suite, prk, label, info, length):
    return hkdf_expand("sha256", prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


def has_small_order(public):
    """Whether an agreement with an X25519 public key gives zero (RFC 7748, 6.1)."""
    try:
        X25519PrivateKey.from_private_bytes(bytes(32)).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return True
    return False


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def hpke_derive_secret(ikm):
    prk = labeled_extract(KEM, b"", b"dkp_prk", ikm)
    return labeled_expand(KEM, prk, b"sk", b"", 32)


def hpke_key(secret, public, enc, receiver, info):
    """Key and nonce of a single message (RFC 9180, 4.1 and 5.1, base mode)."""
    try:
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of small order
        raise Refused("unopenable") from error
    prk = labeled_extract(KEM, b"", b"eae_prk", shared)
    shared = labeled_expand(KEM, prk, b"shared_secret", enc + receiver, 32)
    context = b"\0" + labeled_extract(SUITE, b"", b"psk_id_hash", b"") + labeled_extract(SUITE, b"", b"info_hash", info)
    prk = labeled_extract(SUITE, shared, b"secret", b"")
    return labeled_expand(SUITE, prk, b"key", context, 32), labeled_expand(SUITE, prk, b"base_nonce", context, 12)


def hpke_seal(ikm, receiver, info, plaintext):
    secret = hpke_derive_secret(ikm)
    enc = x25519_public(secret)
    key, nonce = hpke_key(secret, receiver, enc, receiver, info)
    return enc, ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


def hpke_open(secret, enc, info, ciphertext):
    key, nonce = hpke_key(secret, enc, enc, x25519_public(secret), info)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")
    except (InvalidTag, ValueError) as error:
        raise Refused("unopenable") from error


def verify(name, signed, signature):
    try:
        Ed25519PublicKey.from_public_bytes(name[1:33]).verify(signature, signed)
    except InvalidSignature as error:
        raise Refused("bad signature") from error


def sign(keys, signed):
    return Ed25519PrivateKey.from_private_bytes(keys["sign"]).sign(signed)
