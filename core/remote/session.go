package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/barman-go/barman/sdk"
)

// Session is a shell on another host that runs one script after the other over
// one connection.
type Session struct {
	running *Running
	out     *bufio.Reader
	// token ends what a script says. Nothing else can, because nobody knows it.
	token string

	mu   sync.Mutex
	lost error // why there is no session any more
}

// maxAnswer bounds what a script of a session may say.
const maxAnswer = 64 << 20

// Open begins a session, which the caller ends with Close. It ends when ctx does.
func (s Shell) Open(ctx context.Context) (*Session, error) {
	// The scripts come on standard input, and none of them may end the shell.
	r, err := s.Start(ctx, nil, `exec sh`)
	if err != nil {
		return nil, err
	}
	session := &Session{running: r, out: bufio.NewReader(r.Out), token: rand.Text()}
	if _, err := session.Call(`:`); err != nil {
		return nil, err
	}
	return session, nil
}

// Call runs a script, the text of which is a constant of this program, and
// returns what it said; args are its "$1" and so on. A script that does not end
// with 0 is *Failed. After any other error the session is of no use any more.
func (s *Session) Call(script string, args ...string) ([]byte, error) {
	said, err := s.exchange("( set -- " + words(args) + "\n" + script + "\n) </dev/null 2>&1\n" + s.ending())
	if err != nil && s.ended() && sdk.KindOf(err) != sdk.Cancelled {
		err = sdk.Errorf(sdk.Unavailable, "the connection was lost: %w", err)
	}
	return said, err
}

// ended tells whether there is no session any more.
func (s *Session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost != nil
}

// Become replaces the shell of the session by what a script executes at its end:
// something that runs a shell with the text in "$become". A script that fails is
// *Failed; if it had been replaced by then, the session is ended.
func (s *Session) Become(script string, args ...string) error {
	// A shell may read ahead, and take what the next one should get: so all of it is
	// one command, and the next shell answers by itself.
	_, err := s.exchange(fmt.Sprintf("{ become=\"printf '\\n%%s 0\\n' %s; exec sh\"; export become; exec 2>&1; set -- %s\n%s\n%s}\n", s.token, words(args), script, s.ending()))
	return err
}

func words(args []string) string {
	quoted := make([]string, 0, len(args))
	for _, arg := range args {
		quoted = append(quoted, Quote(arg))
	}
	return strings.Join(quoted, " ")
}

// ending is a line that ends the answer with the token and the exit code of what
// came before.
func (s *Session) ending() string { return fmt.Sprintf("printf '\\n%%s %%d\\n' %s \"$?\"\n", s.token) }

// exchange sends lines, and reads up to the token.
func (s *Session) exchange(lines string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return nil, s.lost
	}
	_, sent := io.WriteString(s.running.In, lines)
	var said bytes.Buffer
	for {
		line, err := s.out.ReadSlice('\n')
		if rest, ok := bytes.CutPrefix(line, []byte(s.token+" ")); ok && err == nil {
			return s.answer(said.Bytes(), rest)
		}
		said.Write(line)
		if said.Len() > maxAnswer {
			err = sdk.Errorf(sdk.Corrupt, "%s says more than it was asked for", s.running.shell.Command)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, s.lose(err, sent, said.Bytes())
		}
	}
}

func (s *Session) answer(said, code []byte) ([]byte, error) {
	said = bytes.TrimSuffix(said, []byte("\n")) // which is the token's
	n, err := strconv.Atoi(strings.TrimSpace(string(code)))
	if err != nil {
		return nil, s.lose(err, nil, nil)
	}
	if n != 0 {
		return nil, s.failed(n, said)
	}
	return said, nil
}

func (s *Session) failed(code int, said []byte) error {
	var t tail
	_, _ = t.Write(said) // which cannot fail
	return &Failed{Code: code, Host: s.running.shell.Command, said: t.text()}
}

// lose ends a session that answers no more, and tells why.
func (s *Session) lose(err, sent error, said []byte) error {
	_ = s.running.In.Close() // it is of no use any more
	waited := s.running.Wait()
	var failed *Failed
	switch {
	case errors.As(waited, &failed):
		s.lost = waited
		if failed.said == "" {
			s.lost = s.failed(failed.Code, said)
		}
	case waited != nil:
		s.lost = waited
	default:
		s.lost = sdk.Errorf(sdk.Unavailable, "%s: the shell ended: %w", s.running.shell.Command, errors.Join(err, sent))
	}
	return s.lost
}

// Close ends the session.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return nil // it was told before
	}
	s.lost = sdk.Errorf(sdk.Unavailable, "the session was closed")
	_ = s.running.In.Close()                  // at its end the shell ends
	_, _ = io.Copy(io.Discard, s.running.Out) // as far as there is anything
	return s.running.Wait()
}
