exports.answers = async (event, context) => ({ event, left: context.getRemainingTimeInMillis(), id: context.awsRequestId });
exports.calls = (event, context, callback) => { setTimeout(() => callback(null, "called"), 5); };
exports.fails = async () => { throw new TypeError("no"); };
exports.callsWithError = (event, context, callback) => callback(new RangeError("too far"));
exports.plain = () => "plain";
exports.streams = awslambda.streamifyResponse(async (event, stream) => {
  const out = awslambda.HttpResponseStream.from(stream, { statusCode: 200 });
  for (let n = 0; n < 3; n += 1) out.write(`piece ${n};`);
  out.end();
});
exports.breaksOff = awslambda.streamifyResponse(async (event, stream) => {
  stream.write("a piece");
  throw new EvalError("broken off");
});
exports.exits = () => process.exit(4);
