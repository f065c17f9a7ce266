# Makes a boto3 client for Lambda whose answers are held against the API's model: no member that
# is not in it, no null, no wrong type. Runs before every script of local_lambda.rs.
def strictly(value, shape, path):
    assert value is not None, f'{path} is null'
    kind = {'structure': dict, 'map': dict, 'list': list, 'string': str, 'timestamp': str,
            'integer': int, 'long': int, 'boolean': bool, 'double': (int, float)}[shape.type_name]
    assert isinstance(value, kind), f'{path} is {value!r}'
    if shape.type_name == 'structure':
        for name, member in value.items():
            assert name in shape.members, f'{path}.{name} is not in the model'
            strictly(member, shape.members[name], f'{path}.{name}')
    elif shape.type_name == 'map':
        for name, member in value.items():
            strictly(member, shape.value, f'{path}.{name}')
    elif shape.type_name == 'list':
        for member in value:
            strictly(member, shape.member, f'{path}[]')

def answered(http_response, model, **_):
    if http_response.status_code < 300 and http_response.content and model.output_shape:
        strictly(json.loads(http_response.content), model.output_shape, model.name)

session = boto3.Session()
session.events.register('after-call.lambda', answered)
functions = session.client('lambda')

def refusal(operation, **arguments):
    try:
        getattr(functions, operation)(**arguments)
    except botocore.exceptions.ClientError as error:
        answer = error.response
        status = answer['ResponseMetadata']['HTTPStatusCode']
        return [status, answer['Error']['Code'], answer['Error']['Message']]
    raise AssertionError(f'{operation} {arguments} was not refused')
