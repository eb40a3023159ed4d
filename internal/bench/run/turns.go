package run

// turns returns in which order n levels run for the k-th time, so that none has the same
// place or comes after the same one each time: what ran before may leave the machine, or its
// system's idea of it, better or worse for who comes next. In n runs each is at each place
// once; in n runs, or 2n if n is odd, each comes after each other one equally often (E. J.
// Williams, Experimental designs balanced for the estimation of residual effects, 1949).
func turns(n, k int) []int {
	order := make([]int, n)
	for i := range order {
		place := i
		if n%2 == 1 && k/n%2 == 1 {
			place = n - 1 - i
		}
		step := (place + 1) / 2 // 0, 1, n-1, 2, n-2 and so on
		if place%2 == 0 {
			step = n - step
		}
		order[i] = (step + k) % n
	}
	return order
}

// inTurns calls f with each of n levels in the order of the k-th run.
func inTurns(n, k int, f func(int) error) error {
	for _, i := range turns(n, k) {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}
