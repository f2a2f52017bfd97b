// llama.cpp on some models. Standard input: {"modules": folder of node_modules, "models": [paths], "texts": [hex],
// "count": n}. Standard output: for each model {"context", "answers": for each text {"tokens": what its tokenizer makes of
// the text, "logits": 256 numbers behind the text's bytes, "bytes": the n it continues with, always the likeliest}}.
// Keys and values are kept in 32 bits, so that nothing but the weights decides.
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

const task = JSON.parse(fs.readFileSync(0, "utf8"));
const library = path.join(task.modules, "node-llama-cpp", "dist", "index.js");
const {getLlama} = await import(pathToFileURL(library).href);

async function answer(model, sequence, bytes) {
    const last = [bytes.at(-1), {generateNext: {logits: true}}];
    const outputs = await sequence.controlledEvaluate([...bytes.slice(0, -1), last]);
    const logits = new Array(256);
    for (const [token, value] of outputs.at(-1).next.logits)
        logits[token] = value;
    await sequence.clearHistory();
    const written = [];
    for await (const token of sequence.evaluate(bytes, {temperature: 0, yieldEogToken: true}))
        if (written.push(token) === task.count)
            break;
    await sequence.clearHistory();
    return {tokens: [...model.tokenize(Buffer.from(bytes).toString("utf8"))], logits, bytes: written};
}

async function run(llama, modelPath) {
    const model = await llama.loadModel({modelPath, gpuLayers: 0, checkTensors: true});
    const context = await model.createContext({
        contextSize: model.trainContextSize, flashAttention: false, threads: 1,
        experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"
    });
    const sequence = context.getSequence();
    const answers = [];
    for (const text of task.texts)
        answers.push(await answer(model, sequence, [...Buffer.from(text, "hex")]));
    const result = {context: model.trainContextSize, answers};
    await model.dispose();
    return result;
}

const llama = await getLlama({gpu: false, build: "never", skipDownload: true, progressLogs: false, maxThreads: 1});
const results = [];
for (const modelPath of task.models)
    results.push(await run(llama, modelPath));
await llama.dispose();
process.stdout.write(JSON.stringify(results));
