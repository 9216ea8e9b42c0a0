"""``python -m ecc_deploy`` is ``ecc-deploy``."""

from ecc_deploy.cli.app import main

if __name__ == "__main__":
    main()
