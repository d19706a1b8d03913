#!/usr/bin/env python3
"""Checks the project's test vectors with other code: `plain.py`, and the protocol written a second time here.

    python3 test-vectors/check.py            # all files; the exit code is 1 where something differs
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from plain import (
    BASE,
    DST,
    ORDER,
    Refused,
    blake3_keyed,
    cbor,
    cbor_bytes,
    check_name,
    decode,
    derive,
    derive_scalar,
    element_of,
    encode,
    expand_message,
    hpke_derive_secret,
    hpke_key,
    hpke_open,
    hpke_seal,
    lp,
    multiply,
    name_text,
    parse_name,
    point,
    scalar,
    scalar_bytes,
    sign,
    u64,
    unhex,
    verify,
    x25519_public,
)

FOLDER = Path(__file__).parent


PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
EVENT = re.compile(r"[A-Za-z0-9-]{1,64}")


def check_plain(*names):
    if not all(map(PLAIN_NAME.fullmatch, names)):
        raise Refused("invalid id")


def check_kinds(*names):
    check_plain(*names)
    if "datafuse-canary" in names:
        raise Refused("invalid id")


def same(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, the file has {expected!r}")


def keys_of(body):
    token, identity = (16, 32), (32, 32)
    shape = (32, 32, token, 32, [token], [32], [identity])
    sign_secret, receive, token, share, former, _, identities = cbor(body, shape)
    for verify_key, receive_secret in identities:
        check_name(b"\x01" + verify_key + x25519_public(receive_secret))
    public = Ed25519PrivateKey.from_private_bytes(sign_secret).public_key().public_bytes_raw()
    name = check_name(b"\x01" + public + x25519_public(receive))
    return {"sign": sign_secret, "receive": receive, "token": token, "former": former, "share": share, "name": name}


def token_key(token, root, epoch):
    return derive_scalar(token[1], b"datafuse/v1/token-key", root, u64(epoch), token[0])


def share_of(keys, root, epoch):
    return derive_scalar(keys["share"], b"datafuse/v1/share", root, u64(epoch))


def blind_for(keys, root, epoch, holder):
    return derive_scalar(keys["share"], b"datafuse/v1/blind", root, u64(epoch), holder)


def check_root(v):
    kinds = []
    for kind in sorted(v["kinds"], key=lambda kind: kind["name"]):
        columns = [
            lp(c["name"].encode(), c["profile"].encode(), (c["default_region"] or "").encode()) for c in kind["columns"]
        ]
        kinds.append(lp(kind["name"].encode(), lp(*columns)))
    stewards = lp(*map(parse_name, v["stewards"]))
    fields = v["space_id"].encode(), unhex(v["nonce"]), parse_name(v["workload"]), stewards, lp(*kinds)
    hashed = lp(b"datafuse/v1/root", *fields)
    same("hashed", hashed.hex(), v["hashed"])
    same("root", hashlib.new("sha512_256", hashed).hexdigest(), v["root"])


def check_public_name(v):
    name = check_name(b"\x01" + unhex(v["verify_key"]) + unhex(v["receive_key"]))
    same("bytes", name.hex(), v["bytes"])
    same("text", name_text(name), v["text"])
    digest = hashlib.sha256(name).hexdigest()
    same("fingerprint", "-".join(digest[i : i + 4] for i in range(0, 32, 4)), v["fingerprint"])
    for text in [v["text"], *v["accepted"]]:
        same("name", parse_name(text), name)


def check_keys(v):
    def token(form):
        return [unhex(form["key_id"]), unhex(form["secret"])]

    def identity(form):
        name = b"\x01" + unhex(form["verify_key"]) + x25519_public(unhex(form["receive_secret"]))
        same("former public name", name_text(name), form["public_name"])
        return [unhex(form["verify_key"]), unhex(form["receive_secret"])]

    body = [1, unhex(v["sign_secret"]), unhex(v["receive_secret"]), token(v["token"]), unhex(v["share_secret"])]
    former = [list(map(token, v["former"])), list(map(unhex, v["former_shares"]))]
    same("body", cbor_bytes([*body, *former, list(map(identity, v["former_identities"]))]).hex(), v["body"])
    keys = keys_of(unhex(v["body"]))
    same("public name", name_text(keys["name"]), v["public_name"])
    for d in v["derived"]:
        root, epoch = unhex(d["root"]), d["epoch"]
        same("token key", scalar_bytes(token_key(keys["token"], root, epoch)).hex(), d["token_key"])
        former = [scalar_bytes(token_key(former, root, epoch)).hex() for former in keys["former"]]
        same("former token keys", former, d["former_token_keys"])
        same("share", scalar_bytes(share_of(keys, root, epoch)).hex(), d["share"])
        same("blind", scalar_bytes(blind_for(keys, root, epoch, parse_name(d["holder"]))).hex(), d["blind"])
        same("state key", derive(keys["token"][1], 32, b"datafuse/v1/state-key", root).hex(), d["state_key"])


def check_token(v):
    message = lp(unhex(v["root"]), v["kind"].encode(), v["profile"].encode(), unhex(v["identifier"]))
    same("message", message.hex(), v["message"])
    uniform = expand_message(DST, message)
    same("uniform bytes", uniform.hex(), v["uniform_bytes"])
    element = element_of(uniform)
    same("element", encode(element).hex(), v["element"])
    same("token", encode(multiply(scalar(unhex(v["token_key"])), element)).hex(), v["token"])


def refuse_token(v):
    try:
        decode(unhex(v["encoding"]))
    except Refused as error:
        raise Refused(f"token {v['index']} {error}") from error


def check_fused(v):
    fused = encode(multiply(scalar(unhex(v["re_key"])), decode(unhex(v["token"]))))
    same("fused token", fused.hex(), v["fused"])
    same("match key", blake3_keyed(unhex(v["match_secret"]), fused)[:16].hex(), v["match_key"])


def check_rotation(v):
    key, following = scalar(unhex(v["token_key"])), scalar(unhex(v["next_token_key"]))
    change = key * pow(following, -1, ORDER) % ORDER
    same("payload", cbor_bytes([1, scalar_bytes(change)]).hex(), v["payload"])
    same("next re-key", scalar_bytes(scalar(unhex(v["re_key"])) * change % ORDER).hex(), v["next_re_key"])
    turned = multiply(following * pow(key, -1, ORDER) % ORDER, decode(unhex(v["token"])))
    same("next token", encode(turned).hex(), v["next_token"])


def refuse_rotation(v):
    scalar(cbor(unhex(v["payload"]), (32,))[0])


def check_enrolment(v):
    root, epoch = unhex(v["root"]), v["epoch"]
    stewards = [keys_of(unhex(steward["keys"])) for steward in v["stewards"]]
    matching_key = 1
    for keys, steward in zip(stewards, v["stewards"], strict=True):
        share = share_of(keys, root, epoch)
        same("public name", name_text(keys["name"]), steward["public_name"])
        same("share", scalar_bytes(share).hex(), steward["share"])
        same("share point", encode(multiply(share, BASE)).hex(), steward["share_point"])
        matching_key = matching_key * share % ORDER
    same("matching key", scalar_bytes(matching_key).hex(), v["matching_key"])
    for holder in v["holders"]:
        keys = keys_of(unhex(holder["keys"]))
        key = token_key(keys["token"], root, epoch)
        same("public name", name_text(keys["name"]), holder["public_name"])
        same("token key", scalar_bytes(key).hex(), holder["token_key"])
        answer, blinds, commitments = pow(key, -1, ORDER), 1, []
        for steward, sent in zip(stewards, holder["from_stewards"], strict=True):
            blind = blind_for(steward, root, epoch, keys["name"])
            share = share_of(steward, root, epoch)
            blinded, share_point = share * blind % ORDER, multiply(share, BASE)
            commitment = encode(multiply(blinded, BASE))
            same("what the workload compares", commitment, encode(multiply(blind, share_point)))
            same("blind", scalar_bytes(blind).hex(), sent["blind"])
            same("blinded share", scalar_bytes(blinded).hex(), sent["blinded_share"])
            same("commitment", commitment.hex(), sent["commitment"])
            same("share payload", cbor_bytes([1, scalar_bytes(blinded)]).hex(), sent["share_payload"])
            payload = [1, scalar_bytes(blind), encode(share_point)]
            same("blind payload", cbor_bytes(payload).hex(), sent["blind_payload"])
            answer, blinds = answer * blinded % ORDER, blinds * blind % ORDER
            commitments.append(commitment)
        same("answer", scalar_bytes(answer).hex(), holder["answer"])
        payload = [1, scalar_bytes(answer), commitments]
        same("answer payload", cbor_bytes(payload).hex(), holder["answer_payload"])
        re_key = scalar(unhex(holder["re_key"]))
        same("re-key", re_key, answer * pow(blinds, -1, ORDER) % ORDER)
        same("K, of re-key and token key", re_key * key % ORDER, matching_key)


def payload_of(name, data):
    if name == "share":
        return (scalar(cbor(data, (32,))[0]),)
    if name == "blind":
        blind, share_point = cbor(data, (32, 32))
        return scalar(blind), point(share_point)
    answer, commitments = cbor(data, (32, [32]))
    for commitment in commitments:
        point(commitment)
    return scalar(answer), commitments


def refuse_payload(v):
    payload_of(v["payload"], unhex(v["bytes"]))


def refuse_parts(v):
    stewards, blinds = list(map(parse_name, v["stewards"])), {}
    if len(stewards) < 2:
        raise Refused("too few stewards")
    for name, payload in v["blinds"]:
        name, (blind, share_point) = parse_name(name), payload_of("blind", unhex(payload))
        if name not in stewards:
            raise Refused("not a steward")
        if blinds.setdefault(name, payload) != payload:
            raise Refused("conflict")
    _, commitments = payload_of("answer", unhex(v["answer"]))
    if len(commitments) != len(stewards):
        raise Refused("wrong steward count")
    for name, commitment in zip(stewards, commitments):
        blind, share_point = payload_of("blind", unhex(blinds[name]))
        if encode(multiply(blind, share_point)) != commitment:
            same("who is named", name_text(name), v["named"])
            raise Refused("disagreement")


MESSAGE = (32, int, str, 65, 65, {65}, [16], int, 32, bytes, 64)
ROUNDS = ("share-to-holder", "blind-to-workload", "answer-to-workload")


def message_info(root, epoch, stage, sender, receiver, subject, key_ids, serial):
    fields = root, u64(epoch), stage.encode(), sender, receiver, subject or b"", lp(*key_ids), u64(serial)
    return lp(b"datafuse/v1/message", *fields)


def open_message(data, receive_secret, expected):
    *header, enc, ciphertext, signature = cbor(data, MESSAGE)
    root, epoch, stage, sender, receiver, subject, _, _ = header
    if stage not in ROUNDS:
        raise Refused("malformed")
    for name in (sender, receiver, subject):
        if name is not None:
            check_name(name)
    for field, found, wanted in zip(("root", "epoch", "receiver"), (root, epoch, receiver), expected):
        if found != wanted:
            raise Refused(f"mismatch of {field}")
    info = message_info(*header)
    verify(sender, lp(info, enc, ciphertext), signature)
    return header, hpke_open(receive_secret, enc, info, ciphertext)


def check_message(v):
    keys, receive_secret = keys_of(unhex(v["sender_keys"])), unhex(v["receive_secret"])
    root, receiver = unhex(v["root"]), parse_name(v["receiver"])
    subject = parse_name(v["subject"]) if v["subject"] else None
    header = [root, v["epoch"], v["round"], keys["name"], receiver, subject, list(map(unhex, v["key_ids"])), v["serial"]]
    info = message_info(*header)
    same("info", info.hex(), v["info"])
    name = f"{v['round']}-{hashlib.sha256(info).hexdigest()[:32]}.msg"
    same("mailbox name", name, v["mailbox_name"])
    opened = open_message(unhex(v["bytes"]), receive_secret, (root, v["epoch"], receiver))
    same("what opens", opened, (header, unhex(v["payload"])))
    enc, ciphertext = hpke_seal(unhex(v["ephemeral_ikm"]), x25519_public(receive_secret), info, unhex(v["payload"]))
    signature = sign(keys, lp(info, enc, ciphertext))
    same("bytes", cbor_bytes([1, *header, enc, ciphertext, signature]).hex(), v["bytes"])


def refuse_message(v):
    expected = unhex(v["root"]), v["epoch"], parse_name(v["receiver"])
    open_message(unhex(v["bytes"]), unhex(v["receive_secret"]), expected)


REQUEST = (32, int, 16, 65, 65, str, str, 16, int, int, 32, bytes, 64)
ANSWER = (32, int, 16, 32, 65, 65, int, 32, bytes, 64)
BARE = (32, int, 16, 65, str, str, 16, 32)


def request_info(root, epoch, request, asker, workload, kind, profile, key_id, serial, at):
    names = asker, workload, kind.encode(), profile.encode()
    return lp(b"datafuse/v1/lookup-request", root, u64(epoch), request, *names, key_id, u64(serial), u64(at))


def answer_info(root, epoch, request, digest, asker, workload, at):
    return lp(b"datafuse/v1/lookup-answer", root, u64(epoch), request, digest, asker, workload, u64(at))


def read_request(data):
    *header, enc, ciphertext, signature = cbor(data, REQUEST)
    check_name(header[3])
    check_name(header[4])
    check_kinds(header[5])
    return header, enc, ciphertext, signature


def open_request(data, receive_secret):
    header, enc, ciphertext, signature = read_request(data)
    info = request_info(*header)
    verify(header[3], lp(info, enc, ciphertext), signature)
    (tokens,) = cbor(hpke_open(receive_secret, enc, info, ciphertext), (bytes,))
    if len(tokens) % 32 or not 1 <= len(tokens) // 32 <= 1000:
        raise Refused("malformed")
    return header, [tokens[at : at + 32] for at in range(0, len(tokens), 32)]


def check_request(v):
    keys, receive_secret = keys_of(unhex(v["asker_keys"])), unhex(v["receive_secret"])
    header = [unhex(v["root"]), v["epoch"], unhex(v["id"]), keys["name"], parse_name(v["workload"]), v["kind"], v["profile"]]
    header += [unhex(v["key_id"]), v["serial"], v["at"]]
    info, tokens = request_info(*header), list(map(unhex, v["tokens"]))
    same("info", info.hex(), v["info"])
    payload = cbor_bytes([1, b"".join(tokens)])
    same("payload", payload.hex(), v["payload"])
    same("what opens", open_request(unhex(v["bytes"]), receive_secret), (header, tokens))
    enc, ciphertext = hpke_seal(unhex(v["ephemeral_ikm"]), x25519_public(receive_secret), info, payload)
    signature = sign(keys, lp(info, enc, ciphertext))
    same("bytes", cbor_bytes([1, *header, enc, ciphertext, signature]).hex(), v["bytes"])


def read_bare(data):
    header = cbor(data, BARE)
    check_name(header[3])
    check_kinds(header[4])
    return header


def bare_id(data):
    return hashlib.sha256(lp(b"datafuse/v1/bare-token", data)).digest()[:16]


def check_bare(v):
    fields = [unhex(v["root"]), v["epoch"], unhex(v["nonce"]), parse_name(v["asker"]), v["kind"], v["profile"]]
    fields += [unhex(v["key_id"]), unhex(v["token"])]
    data = cbor_bytes([1, *fields])
    same("bytes", data.hex(), v["bytes"])
    same("what is read", read_bare(data), fields)
    same("id", bare_id(data).hex(), v["id"])


def asked(data):
    """Root, epoch, id and asker of a request, or of a bare token, which is an array of nine."""
    if data[:1] == b"\x89":
        root, epoch, _, asker, *_ = read_bare(data)
        return root, epoch, bare_id(data), asker
    return tuple(read_request(data)[0][:4])


def open_answer(data, request, workload, receive_secret):
    *header, enc, ciphertext, signature = cbor(data, ANSWER)
    root, epoch, number, digest, asker, signer, _ = header
    check_name(asker)
    check_name(signer)
    wanted_root, wanted_epoch, wanted_number, wanted_asker = asked(request)
    pairs = {
        "root": (root, wanted_root),
        "epoch": (epoch, wanted_epoch),
        "request": (number, wanted_number),
        "request's SHA-256": (digest, hashlib.sha256(request).digest()),
        "asker": (asker, wanted_asker),
        "workload": (signer, workload),
    }
    for field, (found, wanted) in pairs.items():
        if found != wanted:
            raise Refused(f"mismatch of {field}")
    info = answer_info(*header)
    verify(signer, lp(info, enc, ciphertext), signature)
    reply = cbor(hpke_open(receive_secret, enc, info, ciphertext), (str, int, int, bool, bytes))
    return header, reply


def check_answer(v):
    asker, workload, request = keys_of(unhex(v["asker_keys"])), keys_of(unhex(v["workload_keys"])), unhex(v["request"])
    root, epoch, number, name = asked(request)
    same("asker", name, asker["name"])
    header = [root, epoch, number, hashlib.sha256(request).digest(), name, workload["name"], v["at"]]
    info = answer_info(*header)
    same("info", info.hex(), v["info"])
    known = b"".join(known.to_bytes(4, "big") for known in v["known"])
    reply = [v["refused"], v["holders"], v["at_least"], v["counts"], known]
    payload = cbor_bytes([1, *reply])
    same("payload", payload.hex(), v["payload"])
    same("what opens", open_answer(unhex(v["bytes"]), request, workload["name"], asker["receive"]), (header, reply))
    enc, ciphertext = hpke_seal(unhex(v["ephemeral_ikm"]), x25519_public(asker["receive"]), info, payload)
    signature = sign(workload, lp(info, enc, ciphertext))
    same("bytes", cbor_bytes([1, *header, enc, ciphertext, signature]).hex(), v["bytes"])


def refuse_answer(v):
    receive = keys_of(unhex(v["asker_keys"]))["receive"]
    open_answer(unhex(v["bytes"]), unhex(v["request"]), parse_name(v["workload"]), receive)


def announced(root, epoch, serial, dataset_key, message_key):
    return lp(b"datafuse/v1/announcement", root, u64(epoch), u64(serial), dataset_key, message_key)


def check_announcement(v):
    keys = keys_of(unhex(v["workload_keys"]))
    fields = unhex(v["root"]), v["epoch"], v["serial"], unhex(v["dataset_key"]), unhex(v["message_key"])
    signed = announced(*fields)
    same("signed", signed.hex(), v["signed"])
    same("bytes", cbor_bytes([1, *fields, sign(keys, signed)]).hex(), v["bytes"])


def refuse_announcement(v):
    *fields, signature = cbor(unhex(v["bytes"]), (32, int, int, 32, 32, 64))
    root, epoch, serial, _, _ = fields
    if root != unhex(v["root"]):
        raise Refused("mismatch of root")
    verify(parse_name(v["workload"]), announced(*fields), signature)
    if (epoch, serial) < (v["seen_epoch"], v["seen_serial"]):
        raise Refused("replayed")


def check_status(v):
    def optional(field):
        return unhex(field) if field is not None else None

    holders = [
        [parse_name(h["holder"]), list(map(parse_name, h["blinds_from"])), optional(h["answered"]), optional(h["enrolled"])]
        for h in v["holders"]
    ]
    refusals = [[parse_name(r["sender"]) if r["sender"] else None, r["reason"]] for r in v["refusals"]]
    body = cbor_bytes([1, unhex(v["root"]), v["epoch"], v["serial"], holders, refusals])
    signature = sign(keys_of(unhex(v["workload_keys"])), lp(b"datafuse/v1/status", body))
    same("bytes", cbor_bytes([1, body, signature]).hex(), v["bytes"])


def refuse_status(v):
    body, signature = cbor(unhex(v["bytes"]), (bytes, 64))
    verify(parse_name(v["workload"]), lp(b"datafuse/v1/status", body), signature)
    form = (32, int, int, [(bytes, [bytes], {bytes}, {bytes})], [({bytes}, str)])
    root, _, _, holders, refusals = cbor(body, form)
    for holder, stewards, answered, enrolled in holders:
        for name in (holder, *stewards):
            check_name(name)
        if any(key_id is not None and len(key_id) != 16 for key_id in (answered, enrolled)):
            raise Refused("malformed")
    for sender, _ in refusals:
        if sender is not None:
            check_name(sender)
    if root != unhex(v["root"]):
        raise Refused("mismatch of root")


AUDIT_LINE = re.compile(rb'(.*),"sig":"([0-9a-f]{128})"}', re.DOTALL)


def check_audit_line(v):
    body = v["object"].encode().removesuffix(b"}")
    signature = sign(keys_of(unhex(v["workload_keys"])), lp(b"datafuse/v1/audit-line", unhex(v["root"]), body))
    line = body + b',"sig":"' + signature.hex().encode() + b'"}'
    same("line", line.decode(), v["line"])
    same("digest", hashlib.sha256(line).hexdigest(), v["digest"])


def refuse_audit_line(v):
    parted = AUDIT_LINE.fullmatch(v["line"].encode())
    if not parted:
        raise Refused("malformed")
    signed = lp(b"datafuse/v1/audit-line", unhex(v["root"]), parted[1])
    verify(parse_name(v["workload"]), signed, bytes.fromhex(parted[2].decode()))


def audit_head(root, seq, digest):
    return lp(b"datafuse/v1/audit-head", root, u64(seq), digest)


def check_audit_head(v):
    fields = unhex(v["root"]), v["seq"], unhex(v["hash"])
    signature = sign(keys_of(unhex(v["workload_keys"])), audit_head(*fields))
    same("bytes", cbor_bytes([1, *fields, signature]).hex(), v["bytes"])


def refuse_audit_head(v):
    root, seq, digest, signature = cbor(unhex(v["bytes"]), (32, int, 32, 64))
    if root != unhex(v["root"]):
        raise Refused("mismatch of root")
    verify(parse_name(v["workload"]), audit_head(root, seq, digest), signature)


DATASET = (32, int, 65, str, int, [(str, str)], 16, 32, bytes, 32, bytes, 64)


def dataset_info(opener, root, epoch, holder, dataset, version, kinds, key_id):
    listed = lp(*(lp(name.encode(), profile.encode()) for name, profile in kinds))
    fields = root, u64(epoch), holder, dataset.encode(), u64(version), listed, key_id
    return lp(b"datafuse/v1/dataset", opener, *fields)


def read_envelope(data):
    *header, enc, ciphertext, own_enc, own_ciphertext, signature = cbor(data, DATASET)
    _, _, holder, dataset, _, kinds, _ = header
    check_name(holder)
    names = [name for name, _ in kinds]
    check_plain(dataset)
    check_kinds(*names)
    profiles = all(re.fullmatch(r"[a-z0-9+-]{0,1024}", profile) for _, profile in kinds)
    if names != sorted(set(names)) or not profiles:
        raise Refused("malformed")
    return header, (enc, ciphertext), (own_enc, own_ciphertext), signature


def check_dataset(v):
    keys, secret = keys_of(unhex(v["holder_keys"])), unhex(v["dataset_secret"])
    kinds = [list(kind) for kind in v["kinds"]]
    header = [unhex(v["root"]), v["epoch"], keys["name"], v["dataset"], v["version"], kinds, unhex(v["key_id"])]
    infos = [dataset_info(opener, *header) for opener in (b"workload", b"holder")]
    same("info for the workload", infos[0].hex(), v["info_workload"])
    same("info for the holder", infos[1].hex(), v["info_holder"])
    ikms, plaintext = unhex(v["ephemeral_ikms"]), cbor_bytes([1, unhex(v["file_key"]), unhex(v["canary"])])
    sealed = [
        hpke_seal(ikms[:32], x25519_public(secret), infos[0], plaintext),
        hpke_seal(ikms[32:], x25519_public(keys["receive"]), infos[1], plaintext),
    ]
    signature = sign(keys, lp(infos[0], *sealed[0], infos[1], *sealed[1]))
    same("bytes", cbor_bytes([1, *header, *sealed[0], *sealed[1], signature]).hex(), v["bytes"])
    found, to_workload, to_holder, _ = read_envelope(unhex(v["bytes"]))
    same("header", found, header)
    same("what the workload opens", hpke_open(secret, to_workload[0], infos[0], to_workload[1]), plaintext)
    same("what the holder opens", hpke_open(keys["receive"], to_holder[0], infos[1], to_holder[1]), plaintext)


def refuse_dataset(v):
    expected = v["expected"]
    header, to_workload, to_holder, signature = read_envelope(unhex(v["bytes"]))
    root, epoch, holder, dataset, version, kinds, key_id = header
    profiles = {kind["name"]: "+".join(c["profile"] for c in kind["columns"]) for kind in expected["kinds"]}
    differs = [
        ("root", root != unhex(expected["root"])),
        ("epoch", epoch != expected["epoch"]),
        ("holder", holder != parse_name(expected["holder"])),
        ("dataset id", dataset != expected["dataset"]),
        ("identifier kinds", any(name not in profiles for name, _ in kinds)),
        ("profile", any(profiles.get(name) != profile for name, profile in kinds)),
        ("key id", key_id != unhex(expected["key_id"])),
    ]
    for field, is_other in differs:
        if is_other:
            raise Refused(f"mismatch of {field}")
    if version <= expected["seen_version"]:
        raise Refused("stale version")
    infos = [dataset_info(opener, *header) for opener in (b"workload", b"holder")]
    verify(holder, lp(infos[0], *to_workload, infos[1], *to_holder), signature)
    hpke_open(unhex(v["dataset_secret"]), to_workload[0], infos[0], to_workload[1])


LIST = (32, int, str, 65, 65, str, str, [str], 32, bytes, 64)


def list_info(root, epoch, event, workload, holder, join, kind, others):
    texts = join.encode(), kind.encode(), lp(*map(str.encode, others))
    return lp(b"datafuse/v1/list", root, u64(epoch), event.encode(), workload, holder, *texts)


def open_list(data, keys, expected_root, expected_workload):
    *header, enc, ciphertext, signature = cbor(data, LIST)
    root, _, event, workload, holder, join, kind, others = header
    if join not in ("inner", "left", "difference") or not others or others != sorted(set(others)):
        raise Refused("malformed" if all(map(PLAIN_NAME.fullmatch, others)) else "invalid id")
    check_plain(*others)
    check_kinds(kind)
    check_name(workload)
    check_name(holder)
    if not EVENT.fullmatch(event):
        raise Refused("invalid id")
    pairs = {"root": (root, expected_root), "workload": (workload, expected_workload), "holder": (holder, keys["name"])}
    for field, (found, wanted) in pairs.items():
        if found != wanted:
            raise Refused(f"mismatch of {field}")
    info = list_info(*header)
    verify(workload, lp(info, enc, ciphertext), signature)
    return header, hpke_open(keys["receive"], enc, info, ciphertext)


def check_list(v):
    workload, holder = keys_of(unhex(v["workload_keys"])), keys_of(unhex(v["holder_keys"]))
    header = [unhex(v["root"]), v["epoch"], v["event"], workload["name"], holder["name"], v["join"], v["kind"], v["with"]]
    info, payload = list_info(*header), cbor_bytes([1, unhex(v["file_key"])])
    same("info", info.hex(), v["info"])
    same("payload", payload.hex(), v["payload"])
    same("what opens", open_list(unhex(v["bytes"]), holder, header[0], workload["name"]), (header, payload))
    enc, ciphertext = hpke_seal(unhex(v["ephemeral_ikm"]), x25519_public(holder["receive"]), info, payload)
    signature = sign(workload, lp(info, enc, ciphertext))
    same("bytes", cbor_bytes([1, *header, enc, ciphertext, signature]).hex(), v["bytes"])


def refuse_list(v):
    keys = keys_of(unhex(v["holder_keys"]))
    open_list(unhex(v["bytes"]), keys, unhex(v["root"]), parse_name(v["workload"]))


def pae(payload_type, payload):
    """The pre-authentication encoding of DSSE v1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def base64_bytes(text):
    """Either alphabet, but not both in one text; no bits left over."""
    if not isinstance(text, str):
        raise Refused("malformed")
    plain = text.rstrip("=")
    if "-" in plain or "_" in plain:
        if "+" in plain or "/" in plain:
            raise Refused("malformed")
        plain = plain.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise Refused("malformed") from error
    if base64.b64encode(data).decode().rstrip("=") != plain:
        raise Refused("malformed")
    return data


def read_dsse(envelope):
    if not {"payload", "payloadType", "signatures"} <= envelope.keys():
        raise Refused("malformed")
    signatures = [base64_bytes(signature["sig"]) for signature in envelope["signatures"]]
    return envelope["payloadType"], base64_bytes(envelope["payload"]), signatures


def check_dsse(v):
    payload, kind = unhex(v["payload"]), v["payload_type"]
    same("pae", pae(kind, payload).hex(), v["pae"])
    signatures = []
    for keys in map(keys_of, map(unhex, v["signers"])):
        digest = hashlib.sha256(keys["name"]).hexdigest()
        keyid = "-".join(digest[i : i + 4] for i in range(0, 32, 4))
        signatures.append({"keyid": keyid, "sig": base64.b64encode(sign(keys, pae(kind, payload))).decode()})
    payload_text = base64.b64encode(payload).decode()
    same("envelope", {"payloadType": kind, "payload": payload_text, "signatures": signatures}, v["envelope"])
    same("read", read_dsse(v["envelope"])[:2], (kind, payload))


def refuse_dsse(v):
    kind, payload, signatures = read_dsse(v["envelope"])
    if kind != v["payload_type"]:
        raise Refused("mismatch of payload type")
    if len(signatures) > 32:
        raise Refused("malformed")
    for signature in signatures:
        try:
            return verify(parse_name(v["signer"]), pae(kind, payload), signature)
        except Refused:
            continue
    raise Refused("bad signature")


GOOD = {
    "root_v1": check_root,
    "public_name_v1": check_public_name,
    "keys_v1": check_keys,
    "token_v1": check_token,
    "fused_v1": check_fused,
    "rotation_v1": check_rotation,
    "enrolment_v1": check_enrolment,
    "message_v1": check_message,
    "lookup_request_v1": check_request,
    "lookup_answer_v1": check_answer,
    "bare_token_v1": check_bare,
    "announcement_v1": check_announcement,
    "status_v1": check_status,
    "audit_line_v1": check_audit_line,
    "audit_head_v1": check_audit_head,
    "dataset_v1": check_dataset,
    "list_v1": check_list,
    "dsse_v1": check_dsse,
}
BAD = {
    "public_name_v1_bad": lambda v: parse_name(v["text"]),
    "keys_v1_bad": lambda v: keys_of(unhex(v["body"])),
    "token_v1_bad_encodings": refuse_token,
    "rotation_v1_bad_payloads": refuse_rotation,
    "fused_v1_bad_re_keys": lambda v: scalar(unhex(v["re_key"])),
    "enrolment_v1_bad_payloads": refuse_payload,
    "enrolment_v1_bad_parts": refuse_parts,
    "message_v1_bad_header": refuse_message,
    "message_v1_bad_bytes": refuse_message,
    "lookup_request_v1_bad": lambda v: open_request(unhex(v["bytes"]), unhex(v["receive_secret"])),
    "lookup_answer_v1_bad": refuse_answer,
    "bare_token_v1_bad": lambda v: read_bare(unhex(v["bytes"])),
    "announcement_v1_bad": refuse_announcement,
    "status_v1_bad": refuse_status,
    "audit_line_v1_bad": refuse_audit_line,
    "audit_head_v1_bad": refuse_audit_head,
    "dataset_v1_bad_header": refuse_dataset,
    "dataset_v1_bad_bytes": refuse_dataset,
    "list_v1_bad": refuse_list,
    "dsse_v1_bad": refuse_dsse,
}


def check_itself():
    """The arithmetic here against the RFCs' own vectors, so that an agreement with DataFuse means something."""
    ristretto = json.loads((FOLDER / "rfc9496_ristretto255.json").read_text())
    for k, encoding in enumerate(ristretto["multiples_of_the_generator"]):
        same(f"{k} times the generator", encode(multiply(k, BASE)).hex(), encoding)
    for vector in ristretto["one_way_map"]:
        same("one-way map", encode(element_of(unhex(vector["uniform_bytes"]))).hex(), vector["encoding"])
    for vector in ristretto["invalid_encodings"]:
        try:
            decode(unhex(vector["encoding"]))
        except Refused:
            continue
        raise AssertionError(f"{vector['encoding']} was decoded")
    hpke = json.loads((FOLDER / "rfc9180_base_x25519_chacha20poly1305.json").read_text())
    first = hpke["encryptions"][0]
    enc = unhex(hpke["enc"])
    same("ephemeral key", x25519_public(hpke_derive_secret(unhex(hpke["ikm_e"]))), enc)
    key, nonce = hpke_key(unhex(hpke["sk_rm"]), enc, enc, unhex(hpke["pk_rm"]), unhex(hpke["info"]))
    opened = ChaCha20Poly1305(key).decrypt(nonce, unhex(first["ct"]), unhex(first["aad"]))
    same("plaintext", opened.hex(), first["pt"])
    # The published test vector of BLAKE3 for an input of one byte.
    found = blake3_keyed(b"whats the Elvish word for friend", b"\0").hex()
    same("BLAKE3", found, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b")


def main():
    failures = 0
    check_itself()
    own = {path.stem for path in FOLDER.glob("*_v1*.json")} - {"normalize_v1"}
    if own != GOOD.keys() | BAD.keys():
        print(f"files and checks are not the same: {sorted(own ^ (GOOD.keys() | BAD.keys()))}")
        failures += 1
    for stem in sorted(own & (GOOD.keys() | BAD.keys())):
        vectors = json.loads((FOLDER / f"{stem}.json").read_text())["vectors"]
        for vector in vectors:
            try:
                if stem in GOOD:
                    GOOD[stem](vector)
                    continue
                try:
                    BAD[stem](vector)
                    found = "nothing"
                except Refused as error:
                    found = str(error)
                same("refused for", found, vector["error"])
            except (AssertionError, Refused) as error:
                print(f"{stem}: {vector['note']}: {error}")
                failures += 1
        print(f"{stem}: {len(vectors)} vectors")
    if failures:
        print(f"{failures} differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
