import unittest

import policy

CONFIG = {"url": "http://shop/errors", "max": 0.05}


class Policy(unittest.TestCase):
    def test_a_number_passes_up_to_the_largest(self):
        self.assertEqual(policy.judge(CONFIG, 0.05), (True, "0.05, at most 0.05 passes"))
        self.assertEqual(policy.judge(CONFIG, 0.06), (False, "0.06, at most 0.05 passes"))

    def test_an_answer_that_is_no_number_is_unavailable(self):
        for status, body in [(503, b"0"), (200, b"<html>"), (200, b"NaN"), (200, b"true"), (200, b"\xff"), (200, b"[" * 10_000)]:
            with self.assertRaises(policy.Unavailable):
                policy.number(status, body)

    def test_a_number_is_read(self):
        self.assertEqual(policy.number(200, b"0.5"), 0.5)


if __name__ == "__main__":
    unittest.main()
