import unittest

import policy

CONFIG = {"url": "http://shop/latencies", "percent": 50, "max": 2}


class Policy(unittest.TestCase):
    def test_a_quantile_passes_up_to_the_largest(self):
        self.assertEqual(policy.judge(CONFIG, [1, 2, 3]), (2, True, "p50 is 2, at most 2 passes"))
        self.assertEqual(policy.judge(CONFIG, [1, 4, 5]), (4, False, "p50 is 4, at most 2 passes"))

    def test_an_answer_without_numbers_is_unavailable(self):
        bodies = [b"<html>", b"[NaN,1]", b"[true,1]", b"[1]", b"[" * 10_000]
        for status, body in [(503, b"[1,2]"), *((200, body) for body in bodies)]:
            with self.assertRaises(policy.Unavailable):
                policy.numbers(status, body)


if __name__ == "__main__":
    unittest.main()
