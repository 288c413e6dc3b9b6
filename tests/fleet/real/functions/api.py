"""An API with the resolvers of Powertools for AWS Lambda."""

from aws_lambda_powertools.event_handler import ALBResolver, APIGatewayHttpResolver, APIGatewayRestResolver
from aws_lambda_powertools.event_handler.exceptions import ServiceError


def served_by(app):
    @app.post("/items/<group>")
    def item(group: str):
        event = app.current_event
        if event.query_string_parameters.get("busy"):
            raise ServiceError(503, "busy")
        return {"group": group, "id": event.json_body["id"]}

    return lambda event, context: app.resolve(event, context)


rest = served_by(APIGatewayRestResolver())
http = served_by(APIGatewayHttpResolver())
alb = served_by(ALBResolver())
