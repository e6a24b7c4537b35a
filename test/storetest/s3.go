package storetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	region    = "eu-west-3"
	accessKey = "barman-access"
	secretKey = "barman-secret-key"

	// KMSKey is a key that MinIO encrypts with when asked for aws:kms.
	KMSKey = "barman-test-key"
)

var minio = program{
	name: "MinIO", file: "minio", ready: "/minio/health/ready",
	command: func(file, data string, port int) (args, env []string) {
		return []string{file, "server", "--quiet", "--address", "127.0.0.1:" + strconv.Itoa(port), "--certs-dir", data + "/../certs", data + "/disk"},
			[]string{
				"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_REGION=" + region,
				"MINIO_KMS_SECRET_KEY=" + KMSKey + ":YmFybWFuLXRlc3Qta2V5LW9mLTMyLWJ5dGVzLWxvbmc=",
				"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_SCANNER_SPEED=slowest", "GOMEMLIMIT=256MiB",
			}
	},
}

var startMinIO = sync.OnceValues(minio.start)

var startSecureMinIO = sync.OnceValues(func() (*server, error) {
	secure := minio
	secure.tls = true
	return secure.start()
})

// NewSecureS3 makes a bucket on a MinIO that speaks TLS, for clients that speak nothing else. The certificate to trust is the
// file that AWS_CA_BUNDLE names in its environment.
func NewSecureS3(t testing.TB) *Bucket {
	t.Helper()
	server, err := startSecureMinIO()
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(server.place, "certs", "public.crt")
	client, err := trusting(ca)
	if err != nil {
		t.Fatal(err)
	}
	return newS3(t, "https://"+server.address, client, "AWS_CA_BUNDLE="+ca)
}

// NewS3 makes a bucket on MinIO. It wants path style addresses, as every store has that has no name of its own.
func NewS3(t testing.TB) *Bucket {
	t.Helper()
	server, err := startMinIO()
	if err != nil {
		t.Fatal(err)
	}
	return newS3(t, "http://"+server.address, http.DefaultClient)
}

func newS3(t testing.TB, endpoint string, client *http.Client, more ...string) *Bucket {
	t.Helper()
	name := newName()
	return open(t, &Bucket{
		Provider: S3, Name: name, URL: "s3://" + name, Endpoint: endpoint,
		Env: append([]string{
			"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
			"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		}, more...),
		store: bucketsOfS3{s3.New(s3.Options{
			HTTPClient: client, BaseEndpoint: &endpoint, Region: region, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		})},
	})
}

// Restricted is an S3 bucket with temporary credentials, which may do what an IAM policy allows (a JSON document): for want
// of permissions, and for session tokens.
func (b *Bucket) Restricted(policy string) *Bucket {
	b.t.Helper()
	tokens := sts.New(sts.Options{
		BaseEndpoint: &b.Endpoint, Region: region, Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	answer, err := tokens.AssumeRole(b.t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/barman"), RoleSessionName: aws.String("barman"), Policy: &policy,
	})
	if err != nil {
		b.t.Fatalf("asking MinIO for temporary credentials: %v", err)
	}
	restricted := *b
	restricted.Env = slices.Concat(b.Env, []string{
		"AWS_ACCESS_KEY_ID=" + *answer.Credentials.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + *answer.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + *answer.Credentials.SessionToken,
	})
	return &restricted
}

// S3Object is what S3 knows of an object apart from its bytes.
type S3Object struct {
	Encryption, KMSKey, StorageClass string
	Tags                             map[string]string
	Parts                            int // of a multipart upload; 0 for a single one
}

// Look returns what S3 knows of an object.
func (b *Bucket) Look(key string) S3Object {
	b.t.Helper()
	client := b.store.(bucketsOfS3).client
	head, err := client.HeadObject(b.t.Context(), &s3.HeadObjectInput{Bucket: &b.Name, Key: &key, PartNumber: aws.Int32(1)})
	if err != nil {
		b.t.Fatalf("looking at %s: %v", key, err)
	}
	tagging, err := client.GetObjectTagging(b.t.Context(), &s3.GetObjectTaggingInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		b.t.Fatalf("tags of %s: %v", key, err)
	}
	tags := map[string]string{}
	for _, tag := range tagging.TagSet {
		tags[*tag.Key] = *tag.Value
	}
	return S3Object{
		Encryption: string(head.ServerSideEncryption), KMSKey: aws.ToString(head.SSEKMSKeyId), StorageClass: string(head.StorageClass),
		Tags: tags, Parts: int(aws.ToInt32(head.PartsCount)),
	}
}

// Uploads are the keys of multipart uploads that were begun and neither completed nor aborted, sorted.
func (b *Bucket) Uploads() []string {
	b.t.Helper()
	client := b.store.(bucketsOfS3).client
	var keys []string
	answer, err := client.ListMultipartUploads(b.t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.Name})
	if err != nil {
		b.t.Fatalf("listing the uploads of %s: %v", b.URL, err)
	}
	for _, upload := range answer.Uploads {
		keys = append(keys, *upload.Key)
	}
	slices.Sort(keys)
	return keys
}

type bucketsOfS3 struct{ client *s3.Client }

func (s bucketsOfS3) create(bucket string) error {
	_, err := s.client.CreateBucket(context.Background(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: region},
	})
	return err
}

func (s bucketsOfS3) put(bucket, key string, content []byte) error {
	_, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

func (s bucketsOfS3) get(bucket, key string) ([]byte, error) {
	answer, err := s.client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

func (s bucketsOfS3) list(bucket, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			return nil, err
		}
		for _, object := range page.Contents {
			keys = append(keys, *object.Key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s bucketsOfS3) delete(bucket, key string) error {
	_, err := s.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	return err
}
