package main

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// defaultRegion is the one that is asked where a bucket is.
const defaultRegion = "us-east-1"

// newClient makes a client of the settings, the environment and the profile. It
// asks nobody yet.
func newClient(ctx context.Context, c *Config) (client *s3.Client, region string, err error) {
	if os.Getenv("HOME") == "" {
		// Without a home there are no files to look for; the library would look in the
		// working directory.
		setDefault("AWS_CONFIG_FILE", os.DevNull)
		setDefault("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	}
	transport, err := bucket.Transport(c.ReadTimeout)
	if err != nil {
		return nil, "", err
	}
	bucket.Throttle(transport, int64(c.BandwidthLimit))
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { carryOver(t, transport) })),
		// Package bucket tries again; two layers of that would multiply.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal())))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, "", sdk.Errorf(sdk.Invalid, "the configuration of Amazon's clients (environment, ~/.aws): %w", err)
	}
	region = loaded.Region
	loaded.Region = cmp.Or(region, defaultRegion)
	client = s3.NewFromConfig(loaded, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(strings.TrimSuffix(c.Endpoint, "/"))
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		if c.PathStyle != nil {
			o.UsePathStyle = *c.PathStyle
		}
		// What is stored is checked by package bucket, for all of an object.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		// A round trip before every segment, to save bytes in the rare case of a refusal.
		o.ContinueHeaderThresholdBytes = -1
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return client, region, nil
}

func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		_ = os.Setenv(name, value) // fails only for names that cannot be
	}
}

// carryOver makes the library's transport one of package bucket, but for the
// certificates, which AWS_CA_BUNDLE may have set.
func carryOver(t, from *http.Transport) {
	t.DialContext, t.Proxy, t.Protocols = from.DialContext, from.Proxy, from.Protocols
	t.ForceAttemptHTTP2 = false
	t.TLSHandshakeTimeout, t.IdleConnTimeout = from.TLSHandshakeTimeout, from.IdleConnTimeout
	t.ExpectContinueTimeout, t.ResponseHeaderTimeout = from.ExpectContinueTimeout, from.ResponseHeaderTimeout
	t.MaxIdleConns, t.MaxIdleConnsPerHost = from.MaxIdleConns, from.MaxIdleConnsPerHost
	t.ReadBufferSize, t.WriteBufferSize = from.ReadBufferSize, from.WriteBufferSize
	t.DisableCompression = from.DisableCompression
}

// unsigned leaves the payload out of the signature.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware(stack)
	})
}
