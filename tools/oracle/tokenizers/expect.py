"""Writes what the reference library (`pip install tokenizers`) gives for many texts.

    python tools/oracle/tokenizers/expect.py --out /some/folder --datasets ../shared/data/datasets \
        llama3=path/to/tokenizer.json gemma3=path/to/tokenizer.json

makes one <name>.jsonl per tokenizer: first a line with its path, then one line a
text with ids and character offsets. The comparison is the Go test
TestReference in internal/lm/tokenizer/hf:

    DISTILLFLOW_TOKENIZERS=/some/folder go test -run TestReference ./internal/lm/tokenizer/hf
"""

import argparse
import glob
import json
import os
import random
import unicodedata

from tokenizers import Tokenizer

TOTAL = 10_000


def strings(value, out):
    """All strings of a JSON value that hold more than a letter."""
    if isinstance(value, str):
        if len(value) > 1:
            out.append(value)
    elif isinstance(value, list):
        for v in value:
            strings(v, out)
    elif isinstance(value, dict):
        for v in value.values():
            strings(v, out)


def questions(folder):
    out = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.jsonl"), recursive=True)):
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.strip():
                    strings(json.loads(line), out)
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.json"), recursive=True)):
        with open(path, encoding="utf-8") as f:
            strings(json.load(f), out)
    return sorted(set(out))


WORDS = ("the answer is Ann's 12,345.67 don't WE'LL I'M they'Ve it'S camelCase HTTPServer x=y+1; def f(x): "
         "return\tif // comment https://example.com/a?b=c#d e-mail@x.org 3.14159 1e-9 100% $5 <tag> </tag> "
         "\\boxed{42} \\frac{1}{2} na\u00efve caf\u00e9 cafe\u0301 \u00fcber Stra\u00dfe \u0130stanbul "
         "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u041f\u0440\u0438\u0432\u0435\u0442 \u05e9\u05dc\u05d5\u05dd "
         "\u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 "
         "\u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \u30ab\u30bf\u30ab\u30ca "
         "\uc548\ub155 \u1100\u1161\u11a8 \ufb01ne \u2126 \u212b \u00bd \u00b2 \u2460 \uff21\uff22\uff11 '\u017f '\u017fx "
         "\u2581 \u2581\u2581x \u0120hello \u010a").split(" ")

ODD = ["\u200d", "\u200c", "\u200b", "\ufeff", "\u00ad", "\u202e", "\u202c", "\u2066", "\u2069", "\ufe0f",
       "\u0000", "\u0001", "\u0007", "\u001b", "\u007f", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028",
       "\u2029", "\u202f", "\u3000", "\ufffd", "\ufffe", "\uffff", "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd",
       "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f",
       "\U0001d54f", "\U00020000", "\U0001f600", "\u0301", "\u0308\u0301", "\u0323\u0307", "\u0e33", "\u0b94",
       "\ud55c", "\u1112\u1161\u11ab", "\u0344", "\u0958", "\u2adc", "\u0f43", "\r\n", "\r", "\n\n", "\t\t", "\v", "\f"]


def assigned(rng):
    while True:
        c = chr(rng.randrange(0x110000))
        if unicodedata.category(c) not in ("Cs", "Cn"):
            return c


def adversarial(rng, special):
    parts = []
    for _ in range(rng.randrange(1, 24)):
        kind = rng.randrange(13)
        if kind <= 2:
            parts.append(rng.choice(WORDS))
        elif kind == 3:
            parts.append(rng.choice(ODD))
        elif kind == 4:
            parts.append(" " * rng.choice([1, 2, 3, 4, 7, 16, 17, 40, 130]))
        elif kind == 5:
            parts.append("".join(rng.choice("0123456789") for _ in range(rng.choice([1, 2, 3, 4, 5, 20, 100]))))
        elif kind == 6:
            parts.append(rng.choice(["\n", "\r\n", "\r", "\n\n\n", " \n ", "\t\n", "\n  \n", "\u2028", "\x0b"]))
        elif kind == 7:
            parts.append(rng.choice("abeioucnsAEIOUD \u1100\u0915") +
                         "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.choice([1, 2, 3, 9]))))
        elif kind == 8:
            parts.append("".join(assigned(rng) for _ in range(rng.randrange(1, 6))))
        elif kind == 9:
            parts.append("".join(chr(rng.randrange(0x20, 0x250)) for _ in range(rng.randrange(1, 12))))
        elif kind == 10 and special:
            token = rng.choice(special)
            parts.append(rng.choice([token, " " + token, token + " ", token[:-1], token * 2, "x" + token + "y"]))
        elif kind == 11:
            parts.append(rng.choice("!?.,;:-_=+*/\\|<>()[]{}'\"`~@#$%^&") * rng.choice([1, 2, 3, 8, 33]))
        else:
            parts.append(rng.choice(["'s", "'S", "'re", "'LL", "n't", " 'd", "'\u017f"]))
        if rng.random() < 0.5:
            parts.append(" ")
    return "".join(parts)


def texts(rng, folder, special):
    fixed = ["", " ", "  ", "\n", "a", " a", "a ", "\u0301", "\u0000", "\u2581", " \u2581 "] + ODD + WORDS
    for token in special[:50]:
        fixed += [token, " " + token, token + token, f"a {token} b", f"a{token}b"]
    real = questions(folder) if folder else []
    rng.shuffle(real)
    room = TOTAL - len(fixed)
    real = real[: room * 7 // 10]
    return fixed + real + [adversarial(rng, special) for _ in range(room - len(real))]


def every_character():
    """Texts that hold every assigned character (of private use and unassigned ones some)."""
    rng = random.Random(3)
    share = {"Co": 0.01, "Cn": 0.005}
    chars = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) != "Cs"
             and rng.random() < share.get(unicodedata.category(c), 1)]
    rng.shuffle(chars)
    beside = ["a", "1", " ", "\u0301", "\u0323", "e", "'", "\n", "A"]
    out = ["".join(rng.choice(beside) + c for c in chars[i:i + 16]) for i in range(0, len(chars), 16)]
    marks = [c for c in chars if unicodedata.category(c)[0] == "M"]
    bases = "aeioAEU\u1100\uac00\u0915\u09c7"
    for _ in range(4000):
        out.append("".join(rng.choice(marks) if rng.random() < 0.7 else rng.choice(bases) for _ in range(8)))
    return out


def write(name, path, folder, out, unicode):
    tok = Tokenizer.from_file(path)
    tok.no_truncation()
    tok.no_padding()
    special = sorted(t.content for t in tok.get_added_tokens_decoder().values())
    rng = random.Random(name)
    rng.shuffle(special)
    with open(os.path.join(out, name + ".jsonl"), "w", encoding="utf-8") as f:
        f.write(json.dumps({"tokenizer": os.path.abspath(path)}) + "\n")
        n = 0
        for i, text in enumerate(every_character() if unicode else texts(rng, folder, special)):
            e = tok.encode(text, add_special_tokens=i % 2 == 0)
            f.write(json.dumps({
                "text": text, "special": i % 2 == 0, "ids": e.ids,
                "offsets": [x for pair in e.offsets for x in pair],
                "words": [-1 if w is None else w for w in e.word_ids],
                "types": e.type_ids,
                "decoded": tok.decode(e.ids, skip_special_tokens=i % 3 == 0), "skip": i % 3 == 0,
            }) + "\n")
            n += 1
    print(f"{name}: {n} texts")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", required=True)
    p.add_argument("--datasets", default="")
    p.add_argument("--unicode", action="store_true", help="texts that hold every character, instead")
    p.add_argument("tokenizers", nargs="+", help="name=path of a tokenizer.json")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for spec in a.tokenizers:
        name, path = spec.split("=", 1)
        write(name, path, a.datasets, a.out, a.unicode)


if __name__ == "__main__":
    main()
