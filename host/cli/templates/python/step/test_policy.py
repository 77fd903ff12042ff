import unittest

import policy


class Policy(unittest.TestCase):
    def test_it_goes_on_once_the_url_has_taken_it(self):
        self.assertEqual([policy.outcome(status) for status in (204, 503, None, 403)], ["done", "later", "later", "failed"])


if __name__ == "__main__":
    unittest.main()
