import unittest

import policy


class Policy(unittest.TestCase):
    def test_the_annotations_team_is_added(self):
        self.assertEqual(policy.addition({}, {policy.ANNOTATION: "checkout"}), {"name": "checkout"})
        self.assertEqual(policy.addition({"annotation": "owner"}, {"owner": "ada"}), {"name": "ada"})

    def test_without_the_annotation_nothing_is_added(self):
        self.assertEqual(policy.addition({}, {}), {})


if __name__ == "__main__":
    unittest.main()
