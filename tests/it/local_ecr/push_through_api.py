# Pushes an image with the ECR API alone, as ECR's own console does, and checks every answer.
# `boto3`, `botocore` and `json` are imported; warnings are errors.
import base64, datetime, hashlib, urllib.request

ecr = boto3.client("ecr")


def fails(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["RequestId"], error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{code} expected")


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


token = ecr.get_authorization_token()["authorizationData"][0]
assert base64.b64decode(token["authorizationToken"]).startswith(b"AWS:")
left = token["expiresAt"] - datetime.datetime.now(datetime.timezone.utc)
assert datetime.timedelta(hours=11) < left <= datetime.timedelta(hours=12), left
assert token["proxyEndpoint"] == ecr.meta.endpoint_url

name = "through/api"
fails("InvalidParameterException", ecr.create_repository, repositoryName="Not Valid")
repository = ecr.create_repository(
    repositoryName=name, tags=[{"Key": "team", "Value": "search"}]
)["repository"]
assert abs(datetime.datetime.now(datetime.timezone.utc) - repository["createdAt"]) < datetime.timedelta(minutes=1)
arn = repository["repositoryArn"]
ecr.tag_resource(resourceArn=arn, tags=[{"Key": "more", "Value": "1"}])
ecr.untag_resource(resourceArn=arn, tagKeys=["team"])
assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "more", "Value": "1"}]

# A layer of two parts, the first of them as small as it may be.
layer = bytes(5 * 1024 * 1024) + b"the rest"
upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
edge = 5 * 1024 * 1024
part = dict(repositoryName=name, uploadId=upload)
fails("EmptyUploadException", ecr.complete_layer_upload, layerDigests=[sha256(layer)], **part)
upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
part = dict(repositoryName=name, uploadId=upload)
last = ecr.upload_layer_part(partFirstByte=0, partLastByte=edge - 1, layerPartBlob=layer[:edge], **part)
assert last["lastByteReceived"] == edge - 1
fails("InvalidLayerPartException", ecr.upload_layer_part, partFirstByte=0, partLastByte=0, layerPartBlob=b"x", **part)
ecr.upload_layer_part(partFirstByte=edge, partLastByte=len(layer) - 1, layerPartBlob=layer[edge:], **part)
done = ecr.complete_layer_upload(layerDigests=[sha256(layer)], **part)
assert done["layerDigest"] == sha256(layer)
fails("UploadNotFoundException", ecr.complete_layer_upload, layerDigests=[sha256(layer)], **part)


def push(data):
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    part = dict(repositoryName=name, uploadId=upload)
    ecr.upload_layer_part(partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data, **part)
    return lambda digest: ecr.complete_layer_upload(layerDigests=[digest], **part)


fails("InvalidLayerException", push(b"other bytes"), digest=sha256(layer))
fails("LayerAlreadyExistsException", push(layer[:10] + layer[10:]), digest=sha256(layer))

config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
oci = "application/vnd.oci.image."
manifest = json.dumps({
    "schemaVersion": 2,
    "mediaType": oci + "manifest.v1+json",
    "config": {"mediaType": oci + "config.v1+json", "digest": sha256(config), "size": len(config)},
    "layers": [{"mediaType": oci + "layer.v1.tar+gzip", "digest": sha256(layer), "size": len(layer)}],
})
put = dict(repositoryName=name, imageManifest=manifest, imageTag="v1")
message = fails("LayersNotFoundException", ecr.put_image, **put)
assert message == (
    f"Layers with digests '[{sha256(config)}]' required for pushing image into repository with name '{name}'"
    " in the registry with id '000000000000' do not exist"
), message
push(config)(sha256(config))
digest = ecr.put_image(**put)["image"]["imageId"]["imageDigest"]
assert digest == sha256(manifest.encode())
fails("ImageAlreadyExistsException", ecr.put_image, **put)
fails("ImageDigestDoesNotMatchException", ecr.put_image, imageDigest=sha256(b""), **put)

layers = ecr.batch_check_layer_availability(
    repositoryName=name, layerDigests=[sha256(layer), sha256(b"absent"), "nonsense"]
)
assert [one["layerAvailability"] for one in layers["layers"]] == ["AVAILABLE", "UNAVAILABLE"], layers
assert layers["layers"][0]["layerSize"] == len(layer)
assert layers["failures"][0]["failureCode"] == "InvalidLayerDigest"
url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=sha256(layer))["downloadUrl"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
assert opener.open(url).read() == layer

detail = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"][0]
assert detail["imageTags"] == ["v1"] and detail["imageDigest"] == digest, detail
assert detail["imageSizeInBytes"] == len(layer) + len(config), detail
fails("ImageNotFoundException", ecr.describe_images, repositoryName=name, imageIds=[{"imageTag": "v2"}])
got = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}, {"imageTag": "v2"}])
assert got["images"][0]["imageManifest"] == manifest
assert got["failures"][0]["failureCode"] == "ImageNotFound", got

fails("RepositoryNotEmptyException", ecr.delete_repository, repositoryName=name)
ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="v2")
tags = {one["imageTag"] for one in ecr.list_images(repositoryName=name)["imageIds"]}
assert tags == {"v1", "v2"}, tags
gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}], gone
ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
assert ecr.list_images(repositoryName=name)["imageIds"] == []

setting = dict(name="BLOB_MOUNTING")
assert ecr.get_account_setting(**setting)["value"] == "DISABLED"
ecr.put_account_setting(value="ENABLED", **setting)
assert ecr.get_account_setting(**setting)["value"] == "ENABLED"

mutability = dict(
    imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
    imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
)
assert ecr.put_image_tag_mutability(repositoryName=name, **mutability).items() >= mutability.items()
shown = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
assert shown.items() >= mutability.items(), shown

for number in range(3):
    ecr.create_repository(repositoryName=f"page/{number}")
pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
names = [one["repositoryName"] for page in pages for one in page["repositories"]]
assert names == ["page/0", "page/1", "page/2", name], names
fails("UnknownOperationException", ecr.describe_registry)
print("done")
