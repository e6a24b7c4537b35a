package replication

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/barman-go/barman/sdk"
)

// scripted is a connection on which a server has said everything already.
type scripted struct {
	net.Conn
	r io.Reader
}

func (s scripted) Read(p []byte) (int, error)      { return s.r.Read(p) }
func (s scripted) SetReadDeadline(time.Time) error { return nil }

func script(r io.Reader, size int) *Stream {
	return &Stream{ctx: context.Background(), conn: scripted{r: r}, where: "server", doing: "test", buf: make([]byte, size)}
}

func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

func TestMessagesArriveWhateverThePieces(t *testing.T) {
	long := strings.Repeat("0123456789", 100)
	said := bytes.Join([][]byte{
		message(CopyOut, ""), message('N', "SNOTICE\x00Mhello\x00\x00"), message(CopyData, long), message('S', "a\x00b\x00"),
		message(CopyData, "short"), message(CopyData, ""), message(CopyDone, ""), message(Ready, "I"),
	}, nil)
	for name, pieces := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			s := script(pieces(bytes.NewReader(said)), 64)
			var notices []string
			s.onNotice = func(e *pgconn.PgError) { notices = append(notices, e.Message) }
			if err := s.Expect(CopyOut); err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				kind, _, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				if kind == CopyDone {
					break
				}
				content, err := io.ReadAll(s)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(content))
			}
			if len(got) != 3 || got[0] != long || got[1] != "short" || got[2] != "" || len(notices) != 1 || notices[0] != "hello" {
				t.Errorf("got %q and notices %q", got, notices)
			}
			if err := s.Finish(); err != nil || !s.ended {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestUnreadContentIsSkipped(t *testing.T) {
	s := script(bytes.NewReader(append(message(CopyData, strings.Repeat("x", 500)), message(CopyDone, "")...)), 32)
	if err := s.Expect(CopyData); err != nil {
		t.Fatal(err)
	}
	if err := s.Expect(CopyDone); err != nil {
		t.Fatal(err)
	}
}

func TestServerErrorEndsTheCommand(t *testing.T) {
	s := script(bytes.NewReader(message('E', "SERROR\x00VERROR\x00C42501\x00Mno\x00Dreally\x00\x00")), 64)
	_, _, err := s.Next()
	var server *pgconn.PgError
	if !errors.As(err, &server) || sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "really") || !s.ended {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
}

func TestBrokenStreamsAreUnavailable(t *testing.T) {
	for name, said := range map[string][]byte{
		"nothing": nil, "half a header": {'d', 0}, "half a message": message(CopyData, "content")[:8], "impossible length": {'d', 0, 0, 0, 3}, "negative length": {'d', 255, 255, 255, 255},
	} {
		s := script(bytes.NewReader(said), 64)
		var err error
		for err == nil {
			if _, _, err = s.Next(); err == nil {
				_, err = s.Body()
			}
		}
		if sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("%s: kind %v of %v", name, sdk.KindOf(err), err)
		}
	}
}

func TestDeadlineLosesNothing(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	s := script(nil, 64)
	s.conn = client
	half := message(CopyData, "content")
	go server.Write(half[:3])
	if err := s.Await(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	go server.Write(half[3:])
	if err := s.Await(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Expect(CopyData); err != nil {
		t.Fatal(err)
	}
	if body, err := s.Body(); err != nil || string(body) != "content" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestCompleteTellsWhetherReadingWouldWait(t *testing.T) {
	first, second := message(CopyData, "first"), message(CopyData, "second")
	for cut := range len(second) + 1 {
		s := script(bytes.NewReader(append(bytes.Clone(first), second[:cut]...)), 64)
		if err := s.Expect(CopyData); err != nil {
			t.Fatal(err)
		}
		if got, want := s.Complete(), cut == len(second); got != want {
			t.Errorf("with %d of %d bytes: %v", cut, len(second), got)
		}
	}
}

func TestRowsAreRead(t *testing.T) {
	row, err := (&pgproto3.DataRow{Values: [][]byte{[]byte("a"), nil}}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	said := bytes.Join([][]byte{message(RowDescription, "\x00\x00"), row, row, message(CommandComplete, "SELECT\x00")}, nil)
	rows, err := script(bytes.NewReader(said), 64).Rows()
	if err != nil || len(rows) != 2 || len(rows[0]) != 2 || rows[0][0] != "a" || rows[0][1] != "" {
		t.Errorf("%q, %v", rows, err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(bytes.Join([][]byte{message(CopyOut, ""), message(CopyData, "content"), message('N', "MX\x00\x00"), message(RowDescription, "\x00\x00"),
		message(DataRow, "\x00\x01\x00\x00\x00\x01a"), message(CommandComplete, "X\x00"), message('E', "C42501\x00\x00")}, nil), true)
	f.Fuzz(func(t *testing.T, said []byte, rows bool) {
		s := script(bytes.NewReader(said), 64)
		for {
			var err error
			if rows {
				_, err = s.Rows()
			} else if _, _, err = s.Next(); err == nil {
				var body []byte
				if body, err = s.Body(); len(body) > len(said) {
					t.Errorf("%d bytes out of %d", len(body), len(said))
				}
			}
			if err != nil {
				return
			}
		}
	})
}
