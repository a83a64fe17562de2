# A short soak: senders, rude clients and consumers through all faults, then
# everything is counted.  SOAK_SEED changes its course; ./build.sh soak runs it
# for longer.

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../tools/soak";
use Esputnik::Test;
use Soak;

my $soak = Soak->new(seconds => 25, seed => $ENV{SOAK_SEED} || 1,
                     say => sub { note($_[0]) })->run;
note($soak->table);
ok($_->{ok}, $_->{name}) || diag($_->{detail}) for $soak->checks;

finish();
