package rules

import "strconv"

// suggest returns "did you mean ...?" for the candidate nearest to name, or
// "" if none is near: at most a third of the letters, and three, may differ.
func suggest(name string, candidates []string) string {
	limit := max(1, min(3, len([]rune(name))/3))
	best, bestAt := -1, limit+1
	for i, c := range candidates {
		if c == name {
			continue
		}
		if d := distance([]rune(name), []rune(c), limit); d < bestAt {
			best, bestAt = i, d
		}
	}
	if best < 0 {
		return ""
	}
	return "did you mean " + strconv.Quote(candidates[best]) + "?"
}

// distance is the Damerau-Levenshtein distance (a swap of neighbours counts
// once) without regard to ASCII case; beyond limit it may return limit+1.
func distance(a, b []rune, limit int) int {
	if len(a) > 100 || len(b) > 100 || abs(len(a)-len(b)) > limit {
		return limit + 1
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if fold(a[i-1]) == fold(b[j-1]) {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}

func fold(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
