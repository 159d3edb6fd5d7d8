// node module.mjs MODULE.wasm MODEL INPUTS OUTPUTS - runs a model as tests/runtime_c/runner.c does, on the module's own functions. It imports
// nothing; its memory is all there is.
import fs from 'fs';
const [path, model, inputs, outputs] = process.argv.slice(2);
const compiled = await WebAssembly.compile(fs.readFileSync(path));
if (WebAssembly.Module.imports(compiled).length) throw new Error('the module imports something');
const { exports: e } = await WebAssembly.instantiate(compiled, {});
e.memory.grow(128);
const bytes = new Uint8Array(e.memory.buffer), view = new DataView(e.memory.buffer);
const SIZE = { 1: 4, 6: 4, 7: 8, 9: 1, 11: 8 };
let top = e.__heap_base.value;
const take = (n) => {
  const at = (top + 63) & ~63;
  top = at + n;
  return at;
};
const put = (data) => {
  const at = take(data.length);
  bytes.set(data, at);
  return at;
};
const good = (status, what) => {
  if (status) throw new Error(`${what}: status ${status}`);
};
const dims = (at, rank) => Array.from({ length: rank }, (_, k) => view.getInt32(at + 4 * k, true));
const size = (dtype, shape) => shape.reduce((a, b) => a * b, SIZE[dtype]);

const file = fs.readFileSync(model), opened = take(1024), n = take(8);
good(e.whit_open(opened, put(file), file.length), 'whit_open');
const nInstance = e.whit_instance_bytes(opened);
const instance = e.whit_instance_init(take(nInstance), nInstance, opened, 0, 0);
let at = put(fs.readFileSync(inputs));
for (let k = 0; k < e.whit_port_count(opened, 0, 0); k++) {
  const dtype = bytes[at], rank = bytes[at + 1], shape = dims(at + 4, rank), data = at + 4 + 4 * rank;
  at = data + size(dtype, shape);
  good(e.whit_input_set(instance, k, dtype, rank, data - 4 * rank, put(bytes.slice(data, at))), 'whit_input_set');
}
good(e.whit_plan(instance, n), 'whit_plan');
const arena = take(0); // the rest of the memory
let status = 0x30; // WHIT_E_MEMORY: what it takes is known when it has run so far
for (let needed = view.getUint32(n, true); status === 0x30; needed = e.whit_arena_needed(instance)) {
  good(e.whit_arena_set(instance, arena, (needed + 63) & ~63), 'whit_arena_set');
  status = e.whit_run(instance);
}
good(status, 'whit_run');
const found = [];
for (let k = 0; k < e.whit_port_count(opened, 0, 1); k++) {
  const t = e.whit_output(instance, k), data = view.getUint32(t, true), dtype = bytes[t + 4], rank = bytes[t + 5];
  found.push(bytes.slice(t + 4, t + 6), Uint8Array.of(0, 0), bytes.slice(t + 8, t + 8 + 4 * rank));
  found.push(bytes.slice(data, data + size(dtype, dims(t + 8, rank))));
}
fs.writeFileSync(outputs, Buffer.concat(found));
