// OpenAI's client for JavaScript at our door. Standard input: {"modules": folder of node_modules, "url", "model", "prompt",
// "messages", "count", "seed"}. Standard output: {"models": names, "text", "usage", "streamed": pieces of the text, "chat",
// "chatStreamed": pieces, "status": what another model's name gives}.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";

const task = JSON.parse(fs.readFileSync(0, "utf8"));
const {OpenAI} = createRequire(path.join(task.modules, "here.js"))("openai");
const client = new OpenAI({baseURL: task.url, apiKey: "none", maxRetries: 0});
const models = [];
for await (const model of client.models.list())
    models.push(model.id);
const ask = {model: task.model, prompt: task.prompt, max_tokens: task.count, seed: task.seed};
const chat = {model: task.model, messages: task.messages, max_completion_tokens: task.count, seed: task.seed};
const whole = await client.completions.create(ask);
const streamed = [], chatStreamed = [];
for await (const piece of await client.completions.create({...ask, stream: true}))
    streamed.push(piece.choices[0].text);
const answer = await client.chat.completions.create(chat);
for await (const piece of await client.chat.completions.create({...chat, stream: true}))
    chatStreamed.push(piece.choices[0].delta.content);
const status = await client.completions.create({...ask, model: "gpt-4"}).then(() => 200, error => error.status);
process.stdout.write(JSON.stringify({
    models, text: whole.choices[0].text, usage: whole.usage, streamed, chat: answer.choices[0].message.content, chatStreamed, status
}));
