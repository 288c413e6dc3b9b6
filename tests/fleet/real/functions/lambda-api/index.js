// An API with lambda-api, the router of serverless-mysql's author.
const api = require("lambda-api")({ logger: false });

api.post("/items/:group", (request, response) => {
  if (request.query.busy) return response.status(503).json({ error: "busy" });
  return { group: request.params.group, id: request.body.id };
});

exports.handler = async (event, context) => api.run(event, context);
