import unittest

import policy


class Policy(unittest.TestCase):
    def test_it_continues_once_the_url_has_accepted_it(self):
        self.assertEqual([policy.outcome(status) for status in (204, 503, None, 403)], ["done", "later", "later", "failed"])


if __name__ == "__main__":
    unittest.main()
