package lane

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// relayed passes everything from one lane on to the next, which begin and end
// may add to.
func relayed(r *Receiver, s *Sender, begin, end string) error {
	for {
		in, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		w, err := s.Begin(in.Header)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, begin); err != nil {
			return err
		}
		if _, err := in.Relay(w, w); err != nil {
			return err
		}
		if _, err := w.ReadFrom(strings.NewReader(end)); err != nil {
			return err
		}
		if _, err := w.Seal(); err != nil {
			return err
		}
		if err := w.Finish(false); err != nil {
			return err
		}
		if err := r.Ack(in.Sequence, nil); err != nil {
			return err
		}
	}
}

// The checksum of what is relayed is not computed anew: the receiver at the end
// tells whether it is right.
func TestRelayedObjectsArriveWithRightChecksums(t *testing.T) {
	long := string(pattern(inlineLimit + 7))
	for _, options := range []Options{{}, {NoRing: true}} {
		for _, added := range [][2]string{{"", ""}, {"begin", ""}, {"", "end"}, {long, long}, {"", long}} {
			t.Run(fmt.Sprint(options.NoRing, len(added[0]), len(added[1])), func(t *testing.T) {
				first, middle := pairUp(t, t.Context(), options, func(uint64, []byte) {})
				second, last := pairUp(t, t.Context(), options, func(uint64, []byte) {})
				result, passing := make(chan received, 1), make(chan error, 1)
				go func() {
					got := drain(last)
					got.err = finish(last, got)
					result <- got
				}()
				go func() {
					err := relayed(middle, second, added[0], added[1])
					if err == nil {
						err = middle.Close()
					}
					if err == nil {
						err = second.Close()
					}
					passing <- err
				}()
				sizes := []int{0, 1, inlineLimit - 1, inlineLimit, inlineLimit + 1, maxData, maxData + 1, 3_000_000, 5}
				for i, size := range sizes {
					if err := object(first, fmt.Sprint(i), pattern(size)); err != nil {
						t.Fatal(err)
					}
				}
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				if err := <-passing; err != nil {
					t.Fatal(err)
				}
				got := <-result
				if got.err != nil || len(got.objects) != len(sizes) {
					t.Fatal(describe(got))
				}
				for i, size := range sizes {
					if got.objects[i] != added[0]+string(pattern(size))+added[1] {
						t.Errorf("object of %d bytes arrived with %d", size, len(got.objects[i]))
					}
				}
			})
		}
	}
}
