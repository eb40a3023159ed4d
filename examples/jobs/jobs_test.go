package main

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cohort/internal/testring"
)

// The workers are this test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestJobs: one is killed, and every job is answered once, and rightly.
func TestJobs(t *testing.T) {
	right := sieve(first, first+jobs*span)
	for range 3 {
		if atWork := once(t, right); atWork || t.Failed() {
			return
		}
	}
	t.Error("three times the one that was killed had done its job already")
}

const jobs = 18

// once tells whether it was at work: on a busy machine it may have got done.
func once(t *testing.T, right []int) (atWork bool) {
	var out bytes.Buffer
	if err := run(t.Context(), options{workers: 3, jobs: jobs, iface: "lo", cluster: testring.Cluster(t)}, nil, &out); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &out)
	answers := map[string]string{} // who has answered
	for _, m := range regexp.MustCompile(`(?m)^job (\d+): (\d+) primes from \d+ on, says (\S+)$`).FindAllStringSubmatch(out.String(), -1) {
		if answers[m[1]] != "" {
			t.Errorf("job %s is answered twice", m[1])
		}
		answers[m[1]] = m[3]
		job, err := strconv.Atoi(m[1])
		if err != nil || job >= jobs || m[2] != strconv.Itoa(right[job]) {
			t.Errorf("job %s has %s primes, which is wrong", m[1], m[2])
		}
	}
	if len(answers) != jobs {
		t.Errorf("%d of %d jobs are answered", len(answers), jobs)
	}
	killed := regexp.MustCompile(`(?m)^(\S+) is killed at work on job (\d+)$`).FindAllStringSubmatch(out.String(), -1)
	if len(killed) != 1 {
		t.Fatalf("%d were killed, want 1", len(killed))
	}
	return answers[killed[0][2]] != killed[0][1]
}

func TestOptions(t *testing.T) {
	if err := run(t.Context(), options{workers: 1, jobs: 5}, nil, nil); err == nil || !strings.Contains(err.Error(), "1 workers") {
		t.Errorf("%v, want an error with the number", err)
	}
}

// sieve counts the primes of each job in another way.
func sieve(from, to int) (counts []int) {
	composite := make([]bool, to)
	counts = make([]int, (to-from)/span)
	for k := 2; k < to; k++ {
		if composite[k] {
			continue
		}
		for j := k * k; j < to; j += k {
			composite[j] = true
		}
		if k >= from {
			counts[(k-from)/span]++
		}
	}
	return counts
}
