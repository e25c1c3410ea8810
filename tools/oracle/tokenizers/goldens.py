"""Makes the golden files of internal/lm/tokenizer/hf/testdata.

    python tools/oracle/tokenizers/goldens.py internal/lm/tokenizer/hf/testdata

trains tiny tokenizers of every kind on the text below with the reference
libraries (`pip install tokenizers sentencepiece`) and writes, beside each, what it
gives for texts that are awkward. Names: <kind>.json and <kind>.jsonl;
sentencepiece-*.model and .jsonl.
"""

import io
import json
import os
import random
import sys
import tempfile

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

import expect

CORPUS = """
Ann has 12 pens and buys 3 more, so she has 15 pens. How many pens does she have now?
A train leaves at 9:45 and arrives at 11:20; the journey takes 95 minutes. It's late, isn't it?
The knight isn't on the square f3 any more: it's moved to e5, and they're both watching.
Step 1: let x = 4 + 3. Step 2: double it, 2 * x = 14. Therefore the answer is 14.
def add(a, b):\n    return a + b  # adds two numbers\nprint(add(12, 30))
Water boils at 100 degrees; ice melts at 0. Which one is hotter? The first, of course!
Caf\u00e9 na\u00efve fa\u00e7ade \u00fcber Stra\u00dfe, \u00c5ngstr\u00f6m and El Ni\u00f1o.
\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430? \u041c\u043e\u0441\u043a\u0432\u0430 \u0431\u043e\u043b\u044c\u0448\u0430\u044f.
\u4f60\u597d\uff0c\u4e16\u754c\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002 \u3053\u3093\u306b\u3061\u306f\u4e16\u754c
\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u0645\u0631\u062d\u0628\u0627
""".strip().split("\n") * 3

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def trained(tok, trainer):
    tok.train_from_iterator(CORPUS, trainer)
    return tok


def bpe(size, **kw):
    return trainers.BpeTrainer(vocab_size=size, show_progress=False, **kw)


ALPHABET = pre_tokenizers.ByteLevel.alphabet()
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def roberta():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trained(t, bpe(420, initial_alphabet=ALPHABET, special_tokens=["<s>", "</s>", "<mask>"]))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    return t


def qwen():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trained(t, bpe(420, initial_alphabet=ALPHABET, special_tokens=["<|im_start|>", "<|im_end|>"]))
    t.add_tokens([AddedToken("<think>", normalized=False), AddedToken("caf\u00e9", single_word=True)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    return t


def tekken():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(TEKKEN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    # No full alphabet: some bytes are unknown and dropped.
    trained(t, bpe(300, special_tokens=["<unk>", "<s>", "</s>"]))
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])])
    t.decoder = decoders.ByteLevel()
    return t


def llama():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    trained(t, bpe(520, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, max_token_length=8))
    # The byte tokens are part of the model, not cut out of texts.
    spec = json.loads(t.to_str())
    spec["added_tokens"] = [a for a in spec["added_tokens"] if a["id"] < 3]
    t = Tokenizer.from_str(json.dumps(spec))
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    return t


def gemma():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    trained(t, bpe(320, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"], max_token_length=7))
    t.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\u2581\u2581", normalized=False)])
    t.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos>:1 $B:1",
                                                     special_tokens=[("<bos>", 2)])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return t


def clip():
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                         normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"<\|start\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    trained(t, bpe(260, special_tokens=["<unk>", "<|start|>"], end_of_word_suffix="</w>"))
    t.decoder = decoders.BPEDecoder("</w>")
    return t


def prefixed():
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents(),
                                         normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(True),
                                               pre_tokenizers.Punctuation("merged_with_next")])
    trained(t, bpe(260, special_tokens=["[UNK]"], continuing_subword_prefix="##"))
    t.decoder = decoders.WordPiece("##")
    return t


def bert(cased=False):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    t.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained(t, trainers.WordPieceTrainer(vocab_size=280, show_progress=False,
                                         special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    if cased:
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    else:
        t.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.decoder = decoders.WordPiece("##")
    return t


def spm(kind, size, **kw):
    """A SentencePiece model with a small set of normalization rules of its own."""
    rules = os.path.join(tempfile.mkdtemp(), "rules.tsv")
    with open(rules, "w") as f:
        f.write("FB01\t66 69\nFF21\t41\nFF11\t31\n2460\t31\nBD\t31 2F 32\nA0\t20\n3000\t20\n9\t20\nA\t20\n"
                "65 301\tE9\n61 308\tE4\nAD\t\n200B\t\n2003\t20\n")
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, model_type=kind, vocab_size=size,
        normalization_rule_tsv=rules, minloglevel=2, num_threads=1, **kw)
    return out.getvalue()


def unigram(byte_fallback):
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString(spm("unigram", 400 if byte_fallback else 160, byte_fallback=byte_fallback,
                          character_coverage=0.98))
    vocab = [(p.piece, p.score) for p in m.pieces]
    t = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=byte_fallback))
    if byte_fallback:
        t.normalizer = normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    else:
        t.normalizer = normalizers.Sequence([
            normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap), normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " ")])
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(False)])
        t.decoder = decoders.Metaspace()
        t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                         special_tokens=[("</s>", 2)])
    t.add_special_tokens(["<s>", "</s>"])
    return t


def words():
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    trained(t, trainers.WordLevelTrainer(vocab_size=120, show_progress=False, special_tokens=["<unk>"]))
    t.add_tokens([AddedToken("Knight", single_word=True), AddedToken("STEP", lstrip=True, rstrip=True),
                  AddedToken("[X]", normalized=False, lstrip=True), AddedToken("[X][Y]", normalized=False),
                  AddedToken("\u00fcber", rstrip=True)])
    return t


KINDS = {
    "roberta": roberta, "qwen": qwen, "tekken": tekken, "llama": llama, "gemma": gemma, "clip": clip,
    "prefixed": prefixed, "bert": bert, "bert-cased": lambda: bert(True), "unigram": lambda: unigram(False),
    "unigram-bytes": lambda: unigram(True), "words": words,
}

TEXTS = 70


def texts(tok):
    rng = random.Random(7)
    special = sorted(t.content for t in tok.get_added_tokens_decoder().values())
    own = [line for line in CORPUS[:10]] + [
        "", " ", "   ", " x", "x ", "Ann's  pens\n\n  and\tmore ", "e\u0301a\u0308\u0323", "\ufb01ne \uff21\uff11\u00bd\u2460",
        "STEP  1 Knight knights [X][Y] [X] \u00fcber \u00dcBER  a", "\U0001f468\u200d\U0001f469 \u1112\u1161\u11ab",
        "a" * 40, "\u4f60\u597da\u4f60", "\u0130\u03a3 \u0130", "zzz\u2603\u2603 \u2603"]
    for s in special[:6]:
        own += [s, f" {s} x{s}y"]
    return own + [expect.adversarial(rng, special) for _ in range(TEXTS - len(own))]


def line(f, **kw):
    f.write(json.dumps(kw, ensure_ascii=True, separators=(",", ":")) + "\n")


def entry(tok, text, pair=None, special=True, skip=False, **kw):
    e = tok.encode(text, pair, add_special_tokens=special) if pair is not None else tok.encode(
        text, add_special_tokens=special)
    out = dict(text=text, special=special, ids=e.ids, offsets=[x for o in e.offsets for x in o],
               words=[-1 if w is None else w for w in e.word_ids], types=e.type_ids,
               decoded=tok.decode(e.ids, skip_special_tokens=skip), skip=skip, **kw)
    if pair is not None:
        out["pair"] = pair
    if e.overflowing:
        out["overflow"] = [o.ids for o in e.overflowing]
    return out


def main():
    folder = sys.argv[1]
    for name, make in KINDS.items():
        tok = make()
        tok.save(os.path.join(folder, name + ".json"), pretty=False)
        tok = Tokenizer.from_file(os.path.join(folder, name + ".json"))
        with open(os.path.join(folder, name + ".jsonl"), "w") as f:
            for i, text in enumerate(texts(tok)):
                line(f, **entry(tok, text, special=i % 2 == 0, skip=i % 3 == 0))
            line(f, **entry(tok, CORPUS[0], CORPUS[1]))
            line(f, **entry(tok, CORPUS[2], CORPUS[3], special=False))
            for length, stride, left, pair in [(9, 0, False, None), (9, 3, False, None), (8, 2, True, None),
                                               (20, 0, False, CORPUS[1]), (21, 0, True, CORPUS[4])]:
                tok.enable_truncation(length, stride=stride, direction="left" if left else "right")
                out = entry(tok, CORPUS[0], pair, truncate=[length, stride, int(left)])
                if pair is not None:
                    out.pop("overflow", None)
                line(f, **out)
            tok.no_truncation()
        print(name, tok.get_vocab_size())
    for name, data in {
        "sentencepiece-bpe": spm("bpe", 480, byte_fallback=True, remove_extra_whitespaces=False,
                                 user_defined_symbols=["<turn>"]),
        "sentencepiece-unigram": spm("unigram", 170),
    }.items():
        with open(os.path.join(folder, name + ".model"), "wb") as f:
            f.write(data)
        sp = sentencepiece.SentencePieceProcessor(model_proto=data)
        with open(os.path.join(folder, name + ".jsonl"), "w") as f:
            rng = random.Random(9)
            own = CORPUS[:10] + ["", " ", "  a  b ", "e\u0301 \ufb01 \u00bd", "zz\u2603\u2603", "a<turn>b", "<turn> c"]
            for text in own + [expect.adversarial(rng, ["<turn>"]) for _ in range(60)]:
                # The library ends a text at a zero byte, and reads its own space as one.
                if "\0" in text or "\u2581" in text:
                    continue
                line(f, text=text, ids=sp.encode(text), decoded=sp.decode(sp.encode(text)))


if __name__ == "__main__":
    main()
