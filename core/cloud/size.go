package cloud

import (
	"math"
	"strconv"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// ParseSize reads a number of bytes as the options of the barman-cloud programs
// give it: a number, with B or one of k, M, G, T, P, E behind it, B or not. Units
// are of 1024, and those with an i of 1000: the other way round than everywhere
// else, as it is in Python. Only a number with a unit may have a fraction. An
// error is of kind Invalid.
func ParseSize(text string) (int64, error) {
	wrong := func() (int64, error) {
		return 0, sdk.Errorf(sdk.Invalid, "%q is not a size: write a number of bytes, or one with a unit such as 5MB", text)
	}
	number := strings.ToLower(strings.TrimSpace(text))
	number = strings.TrimSuffix(number, "b")
	base := 1024.0
	if decimal, ok := strings.CutSuffix(number, "i"); ok {
		number, base = decimal, 1000
	}
	power := 0
	if n := len(number); n > 0 {
		power = strings.IndexByte("kmgtpe", number[n-1]) + 1
	}
	if power == 0 {
		bytes, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
		if err != nil || bytes < 1 || base == 1000 {
			return wrong()
		}
		return int64(bytes), nil
	}
	number = strings.TrimSpace(number[:len(number)-1])
	if strings.Trim(number, "0123456789.") != "" {
		return wrong() // ParseFloat takes signs, exponents and words
	}
	value, err := strconv.ParseFloat(number, 64)
	bytes := value * math.Pow(base, float64(power))
	if err != nil || bytes < 1 || bytes >= math.MaxInt64 {
		return wrong()
	}
	return int64(bytes), nil
}
