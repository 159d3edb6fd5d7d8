// node harness.mjs MODULE.wasm MODEL INPUTS OUTPUTS - the module imports nothing; its memory is all there is.
import fs from 'fs';
const [path, model, inputs, outputs] = process.argv.slice(2);
const compiled = await WebAssembly.compile(fs.readFileSync(path));
if (WebAssembly.Module.imports(compiled).length) throw new Error('the module imports something');
const { exports: e } = await WebAssembly.instantiate(compiled, {});
e.memory.grow(128);
let at = e.__heap_base.value;
const put = (bytes) => {
  const here = (at + 63) & ~63;
  new Uint8Array(e.memory.buffer).set(bytes, here);
  at = here + bytes.length;
  return here;
};
const m = fs.readFileSync(model), given = put(m), x = put(fs.readFileSync(inputs)), y = put(new Uint8Array(65536));
const memory = put(new Uint8Array(0));
const n = e.whit_harness(given, m.length, x, y, memory, e.memory.buffer.byteLength - memory, 0);
if (n <= 0) throw new Error(`status ${-n}`);
fs.writeFileSync(outputs, new Uint8Array(e.memory.buffer, y, n));
