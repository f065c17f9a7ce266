# The life of a function, from its creation to its end.
created = functions.create_function(
    FunctionName='hello', Role=role, PackageType='Image', Code={'ImageUri': f'{host}/hello:v1'},
    Architectures=['x86_64'], Timeout=30, MemorySize=512, Tags={'team': 'search'},
    Environment={'Variables': {'LOG_LEVEL': 'info'}}, ImageConfig={'Command': ['app.handler']},
    LoggingConfig={'LogFormat': 'JSON'}, VpcConfig={'SubnetIds': [], 'SecurityGroupIds': []})
busy = refusal('update_function_code', FunctionName='hello', ImageUri=f'{host}/hello:v2')
functions.get_waiter('function_exists').wait(FunctionName='hello')
functions.get_waiter('function_active_v2').wait(FunctionName='hello')
active = functions.get_function(FunctionName='hello')

configured = functions.update_function_configuration(
    FunctionName='hello', Timeout=60, RevisionId=active['Configuration']['RevisionId'])
updating = refusal('update_function_code', FunctionName='hello', ImageUri=f'{host}/hello:v2')
functions.get_waiter('function_updated_v2').wait(FunctionName='hello')
stale = refusal('update_function_code', FunctionName='hello', ImageUri=f'{host}/hello:v2',
                RevisionId=configured['RevisionId'])
published = functions.update_function_code(
    FunctionName='hello', ImageUri=f'{host}/hello:v2', Architectures=['x86_64'], Publish=True)
functions.get_waiter('function_updated_v2').wait(FunctionName='hello')
functions.get_waiter('published_version_active').wait(FunctionName='hello', Qualifier='1')
again = functions.publish_version(FunctionName='hello', CodeSha256=published['CodeSha256'])
functions.create_alias(FunctionName='hello', Name='live', FunctionVersion='1')
functions.update_alias(FunctionName='hello', Name='live', Description='what users see')
by_alias = functions.get_function(FunctionName='hello', Qualifier='live')
functions.add_permission(FunctionName='hello', StatementId='s3', Action='lambda:InvokeFunction',
                         Principal='s3.amazonaws.com', SourceAccount='000000000000', Qualifier='live')
functions.get_policy(FunctionName='hello', Qualifier='live')
functions.remove_permission(FunctionName='hello', StatementId='s3', Qualifier='live')
functions.tag_resource(Resource=created['FunctionArn'], Tags={'more': 'tags'})
functions.untag_resource(Resource=created['FunctionArn'], TagKeys=['team'])
functions.put_function_concurrency(FunctionName='hello', ReservedConcurrentExecutions=5)
settings = functions.get_account_settings()
last = functions.get_function(FunctionName='hello')
functions.delete_function_concurrency(FunctionName='hello')
listed = [f for page in functions.get_paginator('list_functions').paginate() for f in page['Functions']]
versions = functions.list_versions_by_function(FunctionName='hello')['Versions']
aliases = functions.list_aliases(FunctionName='hello')['Aliases']
functions.delete_alias(FunctionName='hello', Name='live')
deleted = functions.delete_function(FunctionName='hello')['ResponseMetadata']['HTTPStatusCode']
print(json.dumps({
    'created': created, 'busy': busy, 'active': active, 'configured': configured, 'updating': updating,
    'stale': stale, 'published': published, 'again': again['Version'], 'by_alias': by_alias,
    'settings': settings, 'last': last, 'listed': listed, 'deleted': deleted,
    'versions': [v['Version'] for v in versions], 'aliases': [a['Name'] for a in aliases],
}))
