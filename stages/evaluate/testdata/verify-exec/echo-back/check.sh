# Correct is what has the gold answer May in its response. The reason tells the order.
n=0
while IFS= read -r line; do
  n=$((n+1))
  case $line in
  *'"response":"'*May*|*'"response":"'*MAY*) echo "{\"correct\": true, \"reason\": \"$WORD $n\"}" ;;
  *) echo '{"correct": false}' ;;
  esac
done
