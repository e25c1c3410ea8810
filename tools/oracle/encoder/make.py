#!/usr/bin/env python3
"""Writes the golden encoders of internal/lm/encoder with Hugging Face transformers.

Tiny random BERT and RoBERTa checkpoints, each with a tokenizer trained here, the
files of a sentence encoder, its hidden states and its sentence embeddings:

    python tools/oracle/encoder/make.py internal/lm/encoder/testdata/hf

With --reference it takes 100 questions of a folder of JSONL data sets that a real
sentence encoder reads whole, and writes them and its embeddings [100, D], pooled and
normalised as sentence-transformers does, as texts.jsonl and embeddings.safetensors:

    python tools/oracle/encoder/make.py --reference MODEL DATASETS OUT

With --time it prints how many texts a second that takes, too. Needs torch,
transformers, tokenizers and safetensors.
"""

import json
import pathlib
import sys
import time

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
TEXTS = [
    "First, 4 + 3 = 7. Then 7 * 2 = 14. The answer is 14.",
    "a = 4 + 3\nprint(a * 2)",
    "Let us think: what does the question ask?",
    "The rate is 12 miles per hour, so in 3 hours it is 36 miles.",
]
LIMIT = 16  # max_seq_length


def bert_tokenizer():
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tok


def roberta_tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tok.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tok


# Each: configuration, extra settings, tokenizer, normalised, wrapped as a checkpoint with a head.
FAMILIES = {
    "bert": ("BertConfig", dict(type_vocab_size=2, max_position_embeddings=40), bert_tokenizer, True, False),
    "bert-tanh": ("BertConfig", dict(type_vocab_size=2, max_position_embeddings=40, hidden_act="gelu_new"), bert_tokenizer, False, True),
    "roberta": ("RobertaConfig", dict(type_vocab_size=1, max_position_embeddings=42, pad_token_id=1), roberta_tokenizer, True, True),
}


def randomise(model, seed):
    """Draws every parameter large enough to matter, norms and biases included."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(0, 0.25, generator=g)
            elif name.endswith("bias"):
                p.normal_(0, 0.5, generator=g)
            else:
                p.add_(torch.randn(p.shape, generator=g) * 0.3)


def pool(hidden, mask, normalise):
    """Mean over tokens, as sentence-transformers' Pooling and Normalize."""
    m = mask.unsqueeze(-1).float()
    v = (hidden * m).sum(1) / m.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(v, dim=1) if normalise else v


def goldens(out):
    for i, (name, (kind, extra, make_tok, normalise, prefixed)) in enumerate(FAMILIES.items()):
        tok = make_tok()
        config = getattr(transformers, kind)(vocab_size=tok.get_vocab_size(), **SIZES, **extra)
        config._attn_implementation = "eager"
        model = transformers.AutoModel.from_config(config, add_pooling_layer=False).eval()
        randomise(model, 200 + i)
        # Hidden states: two rows, one of them padded, with both token types where there are two.
        g = torch.Generator().manual_seed(i)
        ids = torch.randint(5, tok.get_vocab_size(), (2, 20), generator=g)
        mask = torch.ones_like(ids)
        mask[1, 13:] = 0
        ids[mask == 0] = config.pad_token_id
        types = torch.zeros_like(ids)
        if config.type_vocab_size > 1:
            types[:, 8:] = 1
        with torch.no_grad():
            hidden = model(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        assert hidden.std() > 0.5, name
        folder = pathlib.Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        state = load_file(folder / "model.safetensors")
        if prefixed:
            state = {f"{config.model_type}.{k}": v for k, v in state.items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        tok.save(str(folder / "tokenizer.json"))

        # Sentence embeddings: every text, and one cut into pieces of LIMIT tokens whose
        # means are averaged by their tokens.
        embeddings = []
        for text in TEXTS:
            ids1 = tok.encode(text, add_special_tokens=False).ids
            pieces = [ids1[k:k + LIMIT - 2] for k in range(0, len(ids1), LIMIT - 2)]
            special = tok.encode("").ids
            total = torch.zeros(config.hidden_size)
            count = 0
            for p in pieces:
                row = torch.tensor([[special[0], *p, special[1]]])
                with torch.no_grad():
                    h = model(row).last_hidden_state[0]
                total += h.sum(0)
                count += h.shape[0]
            v = total / count
            embeddings.append(torch.nn.functional.normalize(v, dim=0) if normalise else v)
        write = lambda f, v: ((folder / f).parent.mkdir(exist_ok=True), (folder / f).write_text(json.dumps(v, indent=2) + "\n"))
        modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * normalise
        write("modules.json", [{"idx": k, "name": str(k), "path": p, "type": f"sentence_transformers.models.{t}"}
                               for k, (p, t) in enumerate(modules)])
        write("sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})
        write("1_Pooling/config.json", {"word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": False,
                                        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False})
        write("texts.json", TEXTS)
        save_file({"ids": ids.float(), "types": types.float(), "lengths": mask.sum(1).float(), "hidden": hidden.contiguous(),
                   "embeddings": torch.stack(embeddings).contiguous()}, folder / "golden.safetensors")
        lengths = [len(tok.encode(t).ids) for t in TEXTS]
        print(f"{name:10} hidden std {hidden.std():.2f}, texts of {lengths} tokens")
    (pathlib.Path(out) / "VERSIONS.json").write_text(json.dumps(
        {"torch": torch.__version__, "transformers": transformers.__version__}, indent=2) + "\n")


def questions(datasets, tok, limit, count):
    """Takes texts from every data set in turn, evenly over each file."""
    lists = []
    for path in sorted(pathlib.Path(datasets).rglob("*.jsonl")):
        rows = [json.loads(line) for line in open(path, encoding="utf-8")]
        texts = [r.get("question") or r.get("premise") or r.get("problem") for r in rows]
        texts = [t for t in texts if isinstance(t, str) and len(tok.encode(t).ids) <= limit]
        lists.append(texts[:: max(1, len(texts) // count)])
    out = []
    for k in range(count):
        out += [texts[k] for texts in lists if k < len(texts)]
    return list(dict.fromkeys(out))[:count]


def reference(model_dir, datasets, out, timed):
    model_dir, out = pathlib.Path(model_dir), pathlib.Path(out)
    limit = json.loads((model_dir / "sentence_bert_config.json").read_text())["max_seq_length"]
    tok = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    rows = questions(datasets, tok, limit, 100)
    out.mkdir(parents=True, exist_ok=True)
    (out / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in rows))
    model = transformers.AutoModel.from_pretrained(model_dir).eval()
    normalise = any(m["type"].endswith("Normalize") for m in json.loads((model_dir / "modules.json").read_text()))

    def encode():
        encs = tok.encode_batch(rows)
        order = sorted(range(len(encs)), key=lambda i: len(encs[i].ids))
        result = torch.zeros(len(rows), model.config.hidden_size)
        for at in range(0, len(order), 32):
            part = order[at:at + 32]
            width = max(len(encs[i].ids) for i in part)
            ids = torch.full((len(part), width), model.config.pad_token_id)
            mask = torch.zeros_like(ids)
            for k, i in enumerate(part):
                n = len(encs[i].ids)
                ids[k, :n], mask[k, :n] = torch.tensor(encs[i].ids), 1
            with torch.inference_mode():
                result[part] = pool(model(ids, attention_mask=mask).last_hidden_state, mask, normalise)
        return result

    result = encode()
    save_file({"embeddings": result.contiguous()}, out / "embeddings.safetensors")
    if timed:
        best = min(_timed(encode) for _ in range(5))
        print(f"{len(rows)} texts, {sum(len(tok.encode(t).ids) for t in rows)} tokens, {len(rows) / best:.1f} texts/s, "
              f"{torch.get_num_threads()} threads")


def _timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "--time"]
    if args[0] == "--reference":
        reference(*args[1:4], "--time" in sys.argv)
    else:
        goldens(args[0])
