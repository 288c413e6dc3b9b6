"""What a function's own files say of it: function.toml beside it, and an AWS SAM template."""

import re
from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.fleet.real.function import function_of, with_values
from loadtest.fleet.strategies import check
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse

EXAMPLES = Path(__file__).parents[3] / "examples"
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: test}
  Secret: {Type: String, NoEcho: true}
Globals:
  Function:
    Runtime: python3.12
    Timeout: 5
    Environment: {Variables: {STAGE: !Ref Stage, LOG_LEVEL: info}}
Resources:
  Table: {Type: AWS::DynamoDB::Table}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: orders/
      Handler: app.handler
      MemorySize: 512
      Environment:
        Variables:
          LOG_LEVEL: debug
          REGION: !Sub "${AWS::Region}-${Stage}-${!not}"
          RETRIES: 3
          STRICT: true
          PRICE: 5$
  Bills:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: orders/
      Handler: app.handler
      Environment:
        Variables:
          MYSQL_HOST: !GetAtt Cluster.Endpoint.Address
          DB_HOST: !GetAtt Cluster.Endpoint.Address
          DB_SECRET: {Ref: Secret}
          STACK: !Sub "${AWS::StackName}-x"
          PORT: !If [IsTest, 1, 2]
"""


def function(spec, home, name="shop"):
    (part,) = parse(f"{name}=lambda:{spec}")
    return function_of(part, str(home))


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


def write(folder, text):
    (folder / "function.toml").write_text(text)


def test_a_function_alone_has_lambdas_smallest_memory_and_the_runs_timeout(shop):
    found = function("python:./shop/app.handler", shop.parent)
    assert (found.runtime, found.folder, found.handler) == ("python", shop, "app.handler")
    assert (found.memory_mb, found.timeout_s, found.environment) == (128, None, {})


def test_a_file_beside_it_gives_what_the_path_does_not(shop):
    write(
        shop,
        'handler = "app.handler"\nmemory_mb = 256\ntimeout = "1500ms"\npython = "bin/python"\n'
        '[environment]\nDB_URL = "mysql://${MYSQL_USER}@${MYSQL_HOST}:$MYSQL_PORT/"\nPRICE = "5$$"\n',
    )
    found = function("python:./shop", shop.parent)
    assert (found.handler, found.memory_mb, found.timeout_s) == ("app.handler", 256, 1.5)
    assert found.python == str(shop / "bin/python")
    values = {"MYSQL_USER": "u", "MYSQL_HOST": "127.0.0.1", "MYSQL_PORT": "3"}
    assert with_values(found.environment, values) == {"DB_URL": "mysql://u@127.0.0.1:3/", "PRICE": "5$"}


def test_the_path_goes_before_the_file_beside_it(shop):
    write(shop, 'handler = "app.other"\n')
    assert function("python:./shop/app.handler", shop.parent).handler == "app.handler"


def test_a_custom_runtimes_folder_is_enough(tmp_path):
    assert function(f"provided:{tmp_path}", "").handler == "bootstrap"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory = 256\n", "unknown field `memory`"),
        ("memory_mb = 64\n", "Expected `int` >= 128"),
        ("memory_mb = true\n", "Expected `int"),
        ('handler = "app.handler"\ntimeout = "soon"\n', "timeout: not a duration: 'soon'"),
        ('handler = "app.handler"\ntimeout = 0\n', "timeout cannot be 0"),
        ("[environment]\nPORT = 3306\n", "Expected `str`"),
        ('[environment]\nHOST = "${MYSQL_HSOT}"\n', "HOST refers to MYSQL_HSOT .did you mean MYSQL_HOST"),
        ('[environment]\nHOST = "a$"\n', "HOST has a single"),
        ("handler = \n", "Invalid value"),
        ("", "is a folder; end the path in file.function, or name the handler in "),
    ],
)
def test_what_is_wrong_beside_it_is_said_with_the_file(shop, text, said):
    write(shop, text)
    with pytest.raises(UsageError, match=said) as caught:
        function("python:./shop", shop.parent)
    assert "strategy 'shop'" in str(caught.value)
    assert str(shop / "function.toml") in str(caught.value)


# Templates


@pytest.fixture
def template(tmp_path):
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "app.py").write_text("def handler(event, context): ...\n")
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path / "template.yaml"


def test_a_template_gives_everything_that_it_states(template):
    found = function("sam:./template.yaml#Orders", template.parent)
    assert (found.runtime, found.handler) == ("python", "app.handler")
    assert found.folder == template.parent / "orders"
    assert (found.memory_mb, found.timeout_s) == (512, 5.0)
    assert with_values(found.environment, {}) == {
        "STAGE": "test", "LOG_LEVEL": "debug", "REGION": "us-east-1-test-${not}", "RETRIES": "3",
        "STRICT": "true", "PRICE": "5$",
    }  # fmt: skip


def test_a_template_that_states_little_has_lambdas_defaults(template):
    template.write_text(
        "Resources:\n  A:\n    Type: AWS::Serverless::Function\n"
        "    Properties: {Runtime: nodejs22.x, Handler: a.b}\n"
    )
    found = function("sam:./template.yaml#A", template.parent)
    assert (found.runtime, found.memory_mb, found.timeout_s) == ("node", 128, 3.0)
    assert found.folder == template.parent


def test_what_only_aws_knows_is_named_with_the_place_where_to_give_it(template):
    with pytest.raises(UsageError) as caught:
        function("sam:./template.yaml#Bills", template.parent)
    said = str(caught.value)
    for one in (
        "DB_HOST is !GetAtt Cluster.Endpoint.Address", "DB_SECRET is !Ref Secret",
        "STACK is !Sub ${AWS::StackName}-x", "PORT is !If IsTest.1.2", "orders/function.toml, [environment]",
    ):  # fmt: skip
        assert one in said
    assert "MYSQL_HOST" not in said, "the run sets it"


def test_the_file_beside_its_code_gives_what_the_template_cannot(template):
    write(
        template.parent / "orders",
        'memory_mb = 1024\n[environment]\nDB_HOST = "${MYSQL_HOST}"\n'
        'DB_SECRET = "x"\nSTACK = "s"\nPORT = "1"\n',
    )
    found = function("sam:./template.yaml#Bills", template.parent)
    assert found.memory_mb == 1024
    assert found.environment["DB_HOST"] == "${MYSQL_HOST}"
    assert found.environment["STAGE"] == "test"


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (("", ""), "Order", "no function 'Order' of type .* .did you mean Orders"),
        (("", ""), "Table", "no function 'Table'"),
        (("", ""), "", "no function ''"),
        (("python3.12", "ruby3.3"), "Orders", "the runtime 'ruby3.3'; here run python, nodejs, provided"),
        (("python3.12", "!Ref Rt"), "Orders", "Runtime is !Ref Rt, which only AWS knows"),
        (("CodeUri: orders/", "CodeUri: s3://bucket/code.zip"), "Orders", "is no folder here"),
        (("CodeUri: orders/", "CodeUri: {Bucket: b, Key: k}"), "Orders", "is no folder here"),
        (("CodeUri: orders/", "InlineCode: pass"), "Orders", "images and inline code cannot be run here"),
        (("CodeUri: orders/", "PackageType: Image"), "Orders", "images and inline code cannot be run here"),
        (("MemorySize: 512", "MemorySize: big"), "Orders", "MemorySize cannot be 'big'"),
        (("Timeout: 5", "Timeout: -1"), "Orders", "Timeout cannot be -1"),
        (("Handler: app.handler\n      Mem", "Mem"), "Orders", "name the handler in"),
        (("Resources:", "Resources: ["), "Orders", "is not YAML"),
        (("Parameters:", "- Parameters:"), "Orders", "is not YAML"),
    ],
)
def test_a_template_that_cannot_be_run_here_says_why(template, change, name, said):
    template.write_text(TEMPLATE.replace(*change, 1) if change[0] else TEMPLATE)
    with pytest.raises(UsageError, match=said):
        function(f"sam:./template.yaml#{name}" if name else "sam:./template.yaml", template.parent)


def test_a_template_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere.yaml cannot be read: .*No such file"):
        function("sam:./nowhere.yaml#A", tmp_path)


def test_a_template_of_another_shape(tmp_path):
    for text in ("", "just text", "[1, 2]", "Resources: 7", "Resources: {A: 7}"):
        (tmp_path / "template.yaml").write_text(text)
        with pytest.raises(UsageError, match="no function 'A'"):
            function("sam:./template.yaml#A", tmp_path)


def test_a_timeout_longer_than_the_runs_is_refused_with_the_option(template):
    parts = parse("shop=lambda:sam:./template.yaml#Orders")
    check(parts, str(template.parent), Settings(function_timeout_s=5.0))
    with pytest.raises(UsageError, match=r"of its own of 5 s, .* give --function-timeout 5s"):
        check(parts, str(template.parent), Settings(function_timeout_s=3.0))


def test_the_file_that_the_page_shows_is_understood(shop):
    page = (EXAMPLES.parent / "docs" / "functions.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.M | re.S)
    write(shop, text)
    found = function("python:./shop", shop.parent)
    assert (found.handler, found.memory_mb, found.timeout_s) == ("app.handler", 256, 3.0)
    assert set(found.environment) == {"DB_HOST", "DATABASE_URL"}


def test_the_template_of_the_examples_names_each_of_its_functions_with_a_file_that_is_there():
    template = EXAMPLES / "template.yaml"
    names = re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function", template.read_text("utf-8"), re.M)
    assert len(names) == 6
    for name in names:
        found = function(f"sam:{template}#{name}", "")
        assert found.memory_mb == 256
        stem = found.handler.partition(".")[0]
        assert any((found.folder / f"{stem}{end}").is_file() for end in (".py", ".js")), name


def test_an_example_of_each_kind_of_path_is_understood_by_the_grammar():
    for path in ("./template.yaml#Orders", "/a/b/template.yml#O1"):
        (part,) = parse(f"o=lambda:sam:{path}")
        assert part.is_real
    assert Path(part.spec).name == "template.yml#O1"
