// A Node.js runtime for AWS Lambda's Runtime API: asks for an invocation, calls the handler, answers.
// Sources: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes", "Define Lambda
// function handler in Node.js", and "Response streaming for Lambda functions".
import http from "node:http";
import { existsSync } from "node:fs";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const STREAMING = Symbol("streaming");
const MISSING = { MODULE_NOT_FOUND: "ImportModuleError", ERR_MODULE_NOT_FOUND: "ImportModuleError" };

// A request that is still to be written, and what will be answered to it.
function open(method, rest, headers) {
  const request = http.request({ host, port, method, agent, path: `/2018-06-01/runtime/${rest}`, headers });
  const answer = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(pieces).toString() }));
    });
  });
  return { request, answer };
}

function call(method, rest, body, headers = {}) {
  const { request, answer } = open(method, rest, headers);
  request.end(body);
  return answer;
}

function told(error) {
  const known = error instanceof Error;
  return {
    errorType: known ? String(error.name) : typeof error,
    errorMessage: known ? error.message : String(error),
    trace: known && error.stack ? error.stack.split("\n") : [],
  };
}

function post(rest, error) {
  const text = JSON.stringify(told(error));
  return call("POST", rest, text, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Lambda-Runtime-Function-Error-Type": plain(told(error).errorType),
  });
}

// A header takes no other characters.
function plain(text) {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

class HttpResponseStream {
  // Metadata as JSON, eight zero bytes, then the body.
  static from(stream, metadata) {
    stream.write(JSON.stringify(metadata));
    stream.write(Buffer.alloc(8));
    return stream;
  }
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMING] = true;
    return handler;
  },
  HttpResponseStream,
};

// The names that AWS's runtime for Node.js gives to what goes wrong with a module.
function named(error) {
  const kind = error instanceof SyntaxError ? "UserCodeSyntaxError" : MISSING[error?.code];
  return kind ? Object.assign(new Error(String(error)), { name: `Runtime.${kind}` }) : error;
}

async function load() {
  const name = process.env._HANDLER;
  const dot = name.lastIndexOf(".");
  const [file, wanted] = [name.slice(0, dot), name.slice(dot + 1)];
  const base = path.join(process.env.LAMBDA_TASK_ROOT, file);
  const found = [".mjs", ".js", ".cjs"].map((ending) => base + ending).find(existsSync);
  if (!found) throw Object.assign(new Error(`cannot find module '${file}'`), { name: "Runtime.ImportModuleError" });
  const module = await import(pathToFileURL(found).href).catch((error) => { throw named(error); });
  const handler = module[wanted] ?? module.default?.[wanted];
  if (typeof handler !== "function") {
    throw Object.assign(new Error(`${name} is undefined or not exported`), { name: "Runtime.HandlerNotFound" });
  }
  return handler;
}

// The answer of a handler that returns a promise or calls back, whichever it does.
function answered(handler, event, context) {
  return new Promise((resolve, reject) => {
    const done = (error, value) => {
      const settle = () => (error ? reject(error) : resolve(value));
      // Timers and sockets of the function hold the answer back, unless it says otherwise.
      if (error || !context.callbackWaitsForEmptyEventLoop) settle();
      else process.once("beforeExit", settle);
    };
    const returned = handler(event, context, done);
    if (returned && typeof returned.then === "function") returned.then(resolve, reject);
    else if (handler.length < 3) resolve(returned);
  });
}

async function stream(handler, event, context, rest) {
  const { request, answer } = open("POST", `${rest}/response`, {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Content-Type": "application/octet-stream",
    Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
  });
  const output = new Writable({
    write: (piece, _encoding, next) => (request.write(piece) ? next() : request.once("drain", next)),
    final: (next) => request.end(next),
  });
  output.setContentType = () => {};
  output.on("error", () => {}); // its function hears of it, too
  answer.catch(() => {}); // awaited below
  try {
    await handler(event, output, context);
  } catch (error) {
    const said = told(error);
    request.addTrailers({
      "Lambda-Runtime-Function-Error-Type": plain(said.errorType),
      "Lambda-Runtime-Function-Error-Body": Buffer.from(JSON.stringify(said)).toString("base64"),
    });
  }
  if (output.destroyed) request.end();
  else if (!output.writableEnded) output.end();
  await answer;
}

function written(answer) {
  try {
    return JSON.stringify(answer ?? null);
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

async function serve(handler) {
  const { headers, body } = await call("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  failing = `invocation/${id}/error`;
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: id,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  try {
    const event = JSON.parse(body);
    if (handler[STREAMING]) {
      await stream(handler, event, context, `invocation/${id}`);
      return;
    }
    const text = written(await answered(handler, event, context));
    await call("POST", `invocation/${id}/response`, text, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
    });
  } catch (error) {
    await post(`invocation/${id}/error`, error);
  }
}

// As AWS's own: what nobody catches fails the invocation, or else the init phase, and ends the process.
let failing = "init/error";
async function die(error, code) {
  agent.maxSockets = Infinity; // the only one may be waiting for the next invocation
  await post(failing, error).catch(() => {});
  process.exit(code);
}
process.on("uncaughtException", (error) => die(error, 129));
process.on("unhandledRejection", (reason) =>
  die(Object.assign(new Error(String(reason)), { name: "Runtime.UnhandledPromiseRejection" }), 128));

process.env.AWS_EXECUTION_ENV = `AWS_Lambda_nodejs${process.versions.node.split(".")[0]}.x`;
let handler;
try {
  handler = await load();
} catch (error) {
  await post("init/error", error);
  process.exit(1);
}
for (;;) await serve(handler);
