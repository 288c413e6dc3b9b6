// Functions in Node.js, by what the event tells them to do; each says how often its process has served.
let served = 0;

class OutOfStock extends Error {
  constructor() { super("none left"); this.name = "OutOfStock"; }
}

const does = {
  answer: () => {},
  fail: () => { throw new TypeError("no"); },
  "fail in its own way": () => { throw new OutOfStock(); },
  "fail with a strange name": () => { throw Object.assign(new Error("no"), { name: "Größe\n" }); },
  "throw a word": () => { throw "a word"; },
  "exit 0": () => process.exit(0),
  "exit 4": () => process.exit(4),
  "throw in a timer": () => new Promise(() => { setTimeout(() => { throw new RangeError("too late"); }, 1); }),
  "reject unheard": () => new Promise((resolve) => { Promise.reject(new Error("unheard")); setTimeout(resolve, 1000); }),
};

exports.handler = async (event) => {
  served += 1;
  if (event.do === "answer a circle") { const circle = {}; circle.itself = circle; return circle; }
  await does[event.do]();
  return { served };
};

exports.calls = (event, context, callback) => {
  served += 1;
  setTimeout(() => (event.do === "answer" ? callback(null, { served }) : callback(new RangeError("too far"))), 1);
};

exports.streams = awslambda.streamifyResponse(async (event, stream) => {
  stream.write("a piece;");
  if (event.do === "fail") throw new EvalError("broken off");
  stream.write("another");
  stream.end();
});
