#!/usr/bin/env python3
"""The tip's model, exported, is the model: another implementation that reads the files computes the node's own logits."""

import json
import os
import struct

import open_weights
from framework import tap
from framework.node import Node

TEXT = b"The model"
BLOCKS = 40  # before that its logits hardly tell one position from another


def logits_of(node, text=TEXT):
    answer = node.rpc.getlogits(text.hex())
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
    texts = open_weights.byte_texts()
    tap.equal(tokenizer["model"]["vocab"], {text: byte for byte, text in enumerate(texts)}, "vocabulary")
    tap.equal((tokenizer["model"]["merges"], tokenizer["added_tokens"]), ([], []), "merges and added tokens")
    for part in ("pre_tokenizer", "decoder"):
        tap.equal([tokenizer[part][name] for name in ("type", "add_prefix_space", "use_regex")],
                  ["ByteLevel", False, False], part)
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        tap.equal(json.load(file)["tokenizer_class"], "PreTrainedTokenizerFast", "tokenizer class")


def safetensors():
    """The safetensors folder holds the model, a configuration and a tokenizer."""
    with Node() as node:
        node.generate(BLOCKS)
        expected = logits_of(node)
        folder = os.path.join(node.root, "model")
        answer = node.rpc.exportmodel(folder)
        weights = os.path.join(folder, "model.safetensors")
        check_answer(node, answer, folder, os.path.getsize(weights))
        tap.equal(sorted(os.listdir(folder)), ["config.json", "model.safetensors", "tokenizer.json",
                                               "tokenizer_config.json"], "files")
        check_folder(folder)
        tensors, metadata = open_weights.read_safetensors(weights)
        tap.equal((metadata["format"], metadata["model_root"]), ("pt", node.model_root()), "metadata")
        check_logits(open_weights.Llama(tensors, open_weights.TRANSFORMERS, 2, 2, "halves"), expected, 1e-4)


def check_keys(gguf, node):
    wanted = {"general.architecture": "llama", "llama.vocab_size": 256, "llama.context_length": 32,
              "llama.embedding_length": 32, "llama.block_count": 2, "llama.feed_forward_length": 96,
              "llama.attention.head_count": 2, "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": 16,
              "llama.rope.freq_base": 10000.0, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
              "tokenizer.ggml.tokens": open_weights.byte_texts(), "tokenizer.ggml.token_type": [1] * 256,
              "tokenizer.ggml.merges": [], "tokenizer.ggml.add_bos_token": False,
              "atelier.model_root": node.model_root()}
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
            gguf = open_weights.Gguf(path)
            check_keys(gguf, node)
            tap.equal(gguf.keys["general.file_type"], file_type, "file type")
            eight = {name for name, kind in gguf.types.items() if kind == open_weights.Q8_0}
            matrices = {name for name, (shape, _) in gguf.tensors.items() if len(shape) == 2}
            tap.equal(eight, matrices if file_type else set(), "tensors of 8 bits")
            model = open_weights.Llama(gguf.tensors, open_weights.LLAMA_CPP, 2, 2, "neighbours")
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
        node.rpc.exportmodel("model.gguf", "gguf")
        tensors, _ = open_weights.read_safetensors(os.path.join(node.chaindir, "model", "model.safetensors"))
        gguf = open_weights.Gguf(os.path.join(node.chaindir, "model.gguf"))
        for ours, theirs in zip(open_weights.TRANSFORMERS["outside"], open_weights.LLAMA_CPP["outside"]):
            tap.equal(tensors[ours], gguf.tensors[theirs], ours)
        for ours, theirs in zip(open_weights.TRANSFORMERS["layer"], open_weights.LLAMA_CPP["layer"]):
            for layer in range(2):
                found, wanted = gguf.tensors[theirs.format(layer)], tensors[ours.format(layer)]
                tap.equal(sorted(found[1]), sorted(wanted[1]), ours)
                permuted = "q_proj" in ours or "k_proj" in ours
                tap.equal(found == wanted, not permuted, f"the rows of {ours} are in order")


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
        tap.equal(len(os.listdir(os.path.join(node.root, "folder"))), 4, "files in the folder")
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


if __name__ == "__main__":
    tap.main(safetensors, gguf, same_weights, refusals)
