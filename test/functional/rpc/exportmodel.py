#!/usr/bin/env python3
"""The tip's model, exported, is the model: another implementation that reads the files computes the node's own logits."""

import json
import os
import random
import shutil
import struct
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node
from reference.document import SOURCE
from reference.files import Q8_0, Gguf, byte_texts, read_safetensors
from reference.llama import LLAMA_CPP, TRANSFORMERS, Llama

TEXT = b"The model"
# Messages as the door makes them a prompt (doc/api.md).
CHAT_TEMPLATE = ("{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}"
                 "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + '\\n' }}"
                 "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}Assistant:{% endif %}")
BLOCKS = 40  # before that its logits hardly tell one position from another


def logits_of(node, text=TEXT):
    answer = node.rpc.getlogits(text.hex(), False)
    tap.equal(answer["model_root"], node.model_root(), "model_root of the logits")
    return [float(x) for x in answer["logits"]]


def check_logits(model, expected, tolerance):
    found = model.logits(TEXT)
    tap.equal(len(expected), 256, "logits")
    worst = max(abs(a - b) for a, b in zip(found, expected))
    tap.true(worst <= tolerance, f"logits differ by {worst}")
    return worst


def check_answer(node, answer, path, size):
    tap.equal(answer["path"], path, "path")
    tap.equal(answer["bytes"], size, "bytes")
    tap.equal(answer["height"], node.height(), "height")
    tap.equal(answer["model_root"], node.model_root(), "model_root")


def check_folder(folder):
    """Sizes and tokenizer as transformers wants them."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    wanted = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 32,
              "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
              "head_dim": 16, "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": False, "hidden_act": "silu", "torch_dtype": "float32"}
    tap.equal({name: config.get(name) for name in wanted}, wanted, "config.json")
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    texts = byte_texts()
    tap.equal(tokenizer["model"]["vocab"], {text: byte for byte, text in enumerate(texts)}, "vocabulary")
    tap.equal((tokenizer["model"]["merges"], tokenizer["added_tokens"]), ([], []), "merges and added tokens")
    for part in ("pre_tokenizer", "decoder"):
        tap.equal([tokenizer[part][name] for name in ("type", "add_prefix_space", "use_regex")],
                  ["ByteLevel", False, False], part)
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        tap.equal(json.load(file), {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32,
                                    "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE}, "tokenizer_config.json")


def check_card(node, path):
    """The model card names the model, and the corpus as all that it was trained on."""
    corpus, slots = node.rpc.getdataset("0"), node.rpc.getmodelinfo()["slots"]
    with open(path, encoding="utf-8") as file:
        card = file.read()
    tap.true(card.startswith("---\nlibrary_name: transformers\n"), "front matter")
    for text in (f"# Atelier regtest height {node.height()}\n", f"`{node.model_root()}`", f"in {slots} slots",
                 f"| genesis corpus |  |  | {corpus['size']} | 100.00 % | `{corpus['root']}` |\n"):
        tap.true(text in card, f"{text!r} is not in the card:\n{card}")


def safetensors():
    """The safetensors folder holds the model, a configuration and a tokenizer."""
    with Node() as node:
        node.generate(BLOCKS)
        expected = logits_of(node)
        folder = os.path.join(node.root, "model")
        answer = node.rpc.exportmodel(folder)
        weights = os.path.join(folder, "model.safetensors")
        check_answer(node, answer, folder, os.path.getsize(weights))
        tap.equal(sorted(os.listdir(folder)), ["README.md", "config.json", "model.safetensors",
                                               "tokenizer.json", "tokenizer_config.json"], "files")
        check_folder(folder)
        check_card(node, os.path.join(folder, "README.md"))
        tensors, metadata = read_safetensors(weights)
        tap.equal((metadata["format"], metadata["model_root"]), ("pt", node.model_root()), "metadata")
        check_logits(Llama(tensors, TRANSFORMERS, 2, 2, "halves"), expected, 1e-4)


def check_keys(gguf, node):
    wanted = {"general.architecture": "llama", "llama.vocab_size": 256, "llama.context_length": 32,
              "llama.embedding_length": 32, "llama.block_count": 2, "llama.feed_forward_length": 96,
              "llama.attention.head_count": 2, "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": 16,
              "llama.rope.freq_base": 10000.0, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
              "tokenizer.ggml.tokens": byte_texts(), "tokenizer.ggml.token_type": [1] * 256,
              "tokenizer.ggml.merges": [], "tokenizer.ggml.add_bos_token": False,
              "tokenizer.chat_template": CHAT_TEMPLATE,
              "atelier.model_root": node.model_root(), "atelier.datasets.title": ["genesis corpus"],
              "atelier.datasets.owner": [""], "atelier.datasets.licence": [""]}
    tap.equal({name: gguf.keys.get(name) for name in wanted}, wanted, "keys")
    epsilon = gguf.keys["llama.attention.layer_norm_rms_epsilon"]
    tap.equal(struct.pack("<f", epsilon), struct.pack("<f", 1e-5), "epsilon")


def gguf():
    """GGUF, in 32 and in 8 bits, holds the model with the rotary pairs where llama.cpp looks for them."""
    with Node() as node:
        node.generate(BLOCKS)
        expected = logits_of(node)
        for form, file_type, tolerance in (("gguf", 0, 1e-4), ("gguf-q8_0", 7, 0.1)):
            path = os.path.join(node.root, form)
            answer = node.rpc.exportmodel(path, form)
            check_answer(node, answer, path, os.path.getsize(path))
            gguf = Gguf(path)
            check_keys(gguf, node)
            tap.equal(gguf.keys["general.file_type"], file_type, "file type")
            eight = {name for name, kind in gguf.types.items() if kind == Q8_0}
            matrices = {name for name, (shape, _) in gguf.tensors.items() if len(shape) == 2}
            tap.equal(eight, matrices if file_type else set(), "tensors of 8 bits")
            model = Llama(gguf.tensors, LLAMA_CPP, 2, 2, "neighbours")
            worst = check_logits(model, expected, tolerance)
            tap.true(worst > 1e-4 or file_type == 0, f"8 bits cannot be as near as {worst}")
            model.pairs = "halves"
            wrong = max(abs(a - b) for a, b in zip(model.logits(TEXT), expected))
            tap.true(wrong > 2e-3, f"this model does not show where its rotary pairs are: {wrong}")


def same_weights():
    """Both formats hold the same bits, but for the order of the rows of queries and keys."""
    with Node() as node:
        node.generate(2)
        node.rpc.exportmodel("model", "safetensors")
        tap.equal(node.rpc.exportmodel("model.gguf")["format"], "gguf", "the format that the name says")
        tensors, _ = read_safetensors(os.path.join(node.chaindir, "exports", "model", "model.safetensors"))
        gguf = Gguf(os.path.join(node.chaindir, "exports", "model.gguf"))
        for ours, theirs in zip(TRANSFORMERS["outside"], LLAMA_CPP["outside"]):
            tap.equal(tensors[ours], gguf.tensors[theirs], ours)
        for ours, theirs in zip(TRANSFORMERS["layer"], LLAMA_CPP["layer"]):
            for layer in range(2):
                found, wanted = gguf.tensors[theirs.format(layer)], tensors[ours.format(layer)]
                tap.equal(sorted(found[1]), sorted(wanted[1]), ours)
                permuted = "q_proj" in ours or "k_proj" in ours
                tap.equal(found == wanted, not permuted, f"the rows of {ours} are in order")


def data():
    """Card, keys and getmodelinfo list the data that the model was trained on, whatever their titles are"""
    title, escaped = "[a](b) | *c* <d> — é", r"\[a\]\(b\) \| \*c\* \<d\> — é"
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        node.generate(10)
        owner = node.rpc.getnewaddress()
        answer = node.rpc.contributedata("", "MIT OR CC-BY-4.0+", title, owner, random.Random(1).randbytes(40000).hex())
        while len(node.rpc.listdatasets()) < 2 or node.rpc.getdataset("1")["total_draws"] == 0:
            node.generate(1)
        info = node.rpc.getmodelinfo()
        tap.equal((info["datasets"], sum(one["slots"] for one in info["data"])), (2, info["slots"]), "datasets and slots")
        blocks = [node.rpc.getblock(node.rpc.getblockhash(height)) for height in range(1, node.height() + 1)]
        for number, listed in enumerate(info["data"]):
            slots = sum(slot["dataset"] == number and slot["proofs"] > 0 for block in blocks
                        if not block["outcome"]["void"] for slot in block["outcome"]["slots"])
            tap.equal(listed["slots"], slots, f"slots that dataset {number} had")
            tap.true(abs(float(listed["share"]) - slots / info["slots"]) < 1e-6, "share")
        tap.equal(info["data"][1] | {"slots": 0, "share": 0},
                  {"root": answer["root"], "title": title, "owner": owner, "licence": "MIT OR CC-BY-4.0+",
                   "bytes": 40000, "slots": 0, "share": 0}, "what the model was trained on")
        tap.equal(node.rpc.getmodelinfo(1, 1)["data"], info["data"][1:], "the second one")
        tap.equal(node.rpc.getmodelinfo(0)["data"], [], "none of them")
        node.rpc.exportmodel(os.path.join(node.root, "model"))
        with open(os.path.join(node.root, "model", "README.md"), encoding="utf-8") as file:
            card = file.read()
        share = info["data"][1]["slots"] * 10000 // info["slots"]
        row = (rf"| {escaped} | MIT OR CC\-BY\-4\.0\+ | {owner} | 40000 | {share // 100}.{share % 100:02} % | "
               f"`{answer['root']}` |\n")
        tap.true(row in card, f"{row!r} is not in the card:\n{card}")
        node.rpc.exportmodel(os.path.join(node.root, "model.gguf"), "gguf")
        keys = Gguf(os.path.join(node.root, "model.gguf")).keys
        for name in ("root", "title", "owner", "licence", "bytes", "slots"):
            tap.equal(keys[f"atelier.datasets.{name}"], [one[name] for one in info["data"]], name)


def refusals():
    """Files that exist are left alone unless overwriting is asked for, and errors say what is wrong."""
    with Node() as node:
        for form, name in (("gguf", "x.gguf"), ("safetensors", "folder")):
            path = os.path.join(node.root, name)
            node.rpc.exportmodel(path, form)
            file = path if form == "gguf" else os.path.join(path, "model.safetensors")
            with open(file, "wb") as out:
                out.write(b"precious")
            with tap.raises(-1, "exists already"):
                node.rpc.exportmodel(path, form)
            with open(file, "rb") as kept:
                tap.equal(kept.read(), b"precious", "the file")
            node.rpc.exportmodel(path, form, True)
            tap.true(os.path.getsize(file) > 100000, "the file was not replaced")
        tap.equal(sorted(os.listdir(node.root)), ["data", "folder", "output.txt", "x.gguf"], "what is left behind")
        tap.equal(len(os.listdir(os.path.join(node.root, "folder"))), 5, "files in the folder")
        with tap.raises(-8, "safetensors, gguf or gguf-q8_0"):
            node.rpc.exportmodel("a", "pickle")
        with tap.raises(-8, "empty"):
            node.rpc.exportmodel("")
        with tap.raises(-1, "not a folder"):
            node.rpc.exportmodel(os.path.join(node.root, "x.gguf", "below"))
        with tap.raises(-1, "cannot be created"):
            node.rpc.exportmodel(os.path.join(node.root, "nowhere", "x.gguf"), "gguf")
        with tap.raises(-8, "1 to 32"):
            node.rpc.getlogits("00" * 33)
        with tap.raises(-8, "1 to 32"):
            node.rpc.getlogits("")


def contents(node):
    """What lies in the data directory, with what makes a file another one; not the log, which grows."""
    found = {}
    for folder, _, names in os.walk(node.datadir):
        for name in [".", *names]:
            status = os.stat(os.path.join(folder, name))
            found[os.path.normpath(os.path.join(folder, name))] = (status.st_ino, status.st_size if name != "." else 0)
    return {name: found[name] for name in found if not name.endswith((".log", "/exports"))}


def own_files():
    """Nothing is written over the node's own files or between them, whatever leads there"""
    with Node(start=False) as node:
        elsewhere = {name: os.path.join(node.root, name) for name in ("node.log", "node.pid", "node.conf", "link")}
        with open(elsewhere["node.conf"], "w", encoding="ascii") as file:
            file.write("par=1\n")
        os.symlink(node.chaindir, elsewhere["link"])
        node.log_path = elsewhere["node.log"]
        node.start(f"-debuglogfile={node.log_path}", f"-pid={elsewhere['node.pid']}", f"-conf={elsewhere['node.conf']}")
        node.rpc.createwallet("alice")
        node.generate(2)
        os.link(elsewhere["node.log"], os.path.join(node.root, "hard"))
        node.rpc.exportmodel("first", "gguf")
        os.symlink(os.path.join("..", "wallets"), os.path.join(node.chaindir, "exports", "inner"))
        before = contents(node)
        chain, up = node.chaindir, os.path.join("..", "x")
        for path in (
                node.cookie, os.path.join(chain, "debug.log"), os.path.join(chain, "model.gguf"),
                os.path.join(chain, "blocks", "blk00000.dat"), os.path.join(chain, "blocks", "new.gguf"),
                os.path.join(chain, "wallets", "alice", "CURRENT"), os.path.join(chain, "model", "new"),
                os.path.join(node.datadir, "atelier.conf"), os.path.join(node.datadir, "test", "wallets"),
                os.path.join(elsewhere["link"], ".cookie"), os.path.join(elsewhere["link"], "chainstate", "CURRENT"),
                os.path.join(node.root, "nowhere", "..", "data", "x"), up, os.path.join("inner", "x"),
                os.path.join("new", "..", "..", "wallets", "x")):
            for form in ("gguf", "gguf-q8_0", "safetensors"):
                with tap.raises(-1, "the node's own files"):
                    node.rpc.exportmodel(path, form, True)
        for name in ("node.log", "node.pid", "node.conf", "hard"):
            with tap.raises(-1, "the node's own files"):
                node.rpc.exportmodel(os.path.join(node.root, name), "gguf", True)
        after = contents(node)
        tap.equal(set(after) - set(before), set(), "what is new")
        for path in before:
            if "/wallets" not in path and "/chainstate" not in path:  # whose database may tidy up at any time
                tap.equal(after.get(path), before[path], path)
        node.rpc.exportmodel(os.path.join(node.chaindir, "exports", "second"), "safetensors")
        with open(node.log_path, encoding="utf-8") as log:
            tap.true("Exported" in log.read(), "the log is another file")


def own_spec():
    """Spec, corpus and initial state are not written over either"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        names = [os.path.join(root, name) for name in ("ours.json", "corpus.txt", "start.gguf")]
        with Node() as node:
            node.rpc.exportmodel(names[2], "gguf")
        with open(names[0], "w", encoding="utf-8") as file:
            json.dump({"name": "ours", "corpus": "corpus.txt", "initial_state": "start.gguf", "d": 32, "layers": 2,
                       "heads": 2, "ff": 96, "ctx": 32}, file)
        shutil.copy(os.path.join(SOURCE, "data", "genesis.txt"), names[1])
        with Node(f"-chainspec={names[0]}", chain="ours") as node:
            for path in names:
                with tap.raises(-1, "one of the node's own files"):
                    node.rpc.exportmodel(path, "gguf", True)
            node.restart()


if __name__ == "__main__":
    tap.main(safetensors, gguf, same_weights, data, refusals, own_files, own_spec)
